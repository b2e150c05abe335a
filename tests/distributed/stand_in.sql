-- What distribute_sessions needs of Citus, on plain PostgreSQL. It records the calls, and refuses what Citus
-- refuses: a unique index without the distribution column, and a foreign key that leads to another node
-- (https://docs.citusdata.com, "Cannot create uniqueness constraint" and "Distributed Tables").
CREATE SCHEMA stand_in;
SET search_path TO stand_in, public;
CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod text, partkey text, colocated_with text);

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_dist_partition VALUES (table_name, 'n');
END $$;

CREATE FUNCTION create_distributed_table(
    table_name regclass,
    distribution_column text,
    distribution_type text DEFAULT 'hash',
    colocate_with text DEFAULT 'default',
    shard_count int DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key smallint;
BEGIN
    SELECT attnum INTO STRICT key FROM pg_attribute
        WHERE attrelid = table_name AND attname = distribution_column;
    IF EXISTS (SELECT FROM pg_index WHERE indrelid = table_name AND indisunique AND key <> ALL (indkey)) THEN
        RAISE 'cannot create constraint on %', table_name
            USING DETAIL = 'Distributed relations cannot have UNIQUE constraints without the partition column.';
    END IF;
    IF EXISTS (
        SELECT FROM pg_constraint LEFT JOIN pg_dist_partition ON logicalrelid = confrelid
        WHERE contype = 'f' AND conrelid = table_name
            AND (partmethod IS NULL OR (partmethod = 'h' AND conkey[1] <> key))
    ) THEN
        RAISE 'cannot create foreign key constraint';
    END IF;
    INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column, colocate_with);
END $$;
