"""What each operation costs as the table grows: at 10,000, 100,000 and 1,000,000 rows.

    python -m tests.benchmarks.scale [--rounds N] [--calls N] [--slow]

Each size is a database of its own, and the sizes take turns. A user has ten sessions at every size,
five of them active. With --slow there are 10,000,000 rows as well: minutes to fill, and some
8 GB of disk.
"""

import argparse
from contextlib import contextmanager
from statistics import median

from tests.benchmarks.common import fill, own_database, print_table, ratio, take_turns, vacuum
from tests.benchmarks.operations import READS, WRITES, Keys, Ours, measure

SIZES = [10_000, 100_000, 1_000_000]
SLOW = 10_000_000


@contextmanager
def filled(sizes):
    """The alias of a database with so many rows, for each size."""
    from django.db import connection, connections

    template = connection.settings_dict["NAME"]
    aliases = {size: f"rows_{size}" for size in sizes}
    connection.close()  # it is copied, and nobody may be in it
    try:
        for size, alias in aliases.items():
            name = f"{template}_{size}"
            with connection._nodb_cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            connections.databases[alias] = connection.settings_dict | {"NAME": name}
            fill(size, alias)
            vacuum(alias)
        yield aliases
    finally:
        for size, alias in aliases.items():
            if alias in connections.databases:
                connections[alias].close()
                del connections[alias], connections.databases[alias]
            with connection._nodb_cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{template}_{size}"')


def compare(sizes, rounds, calls):
    """[operation, microseconds at the first size, ratios to it at the others] of each operation."""
    with filled(sizes) as aliases:
        ours = {size: Ours(alias) for size, alias in aliases.items()}
        keys = {size: Keys(alias) for size, alias in aliases.items()}
        for operation in READS + WRITES:
            results = take_turns(
                sizes,
                rounds,
                lambda size, op=operation: measure(ours[size], op, keys[size].take(op, calls)),
            )
            first = results[sizes[0]]
            others = [f"{ratio(results[size], first):.2f}" for size in sizes[1:]]
            yield [operation, f"{median(first):,.0f}", *others]


def head(sizes):
    return ["operation", f"µs at {sizes[0]:,} rows", *(f"ratio at {size:,}" for size in sizes[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=7, help="at one size in one round")
    parser.add_argument("--slow", action="store_true", help=f"with {SLOW:,} rows as well")
    options = parser.parse_args()
    sizes = [*SIZES, SLOW] if options.slow else SIZES
    with own_database() as versions:
        print(f"{versions}\nmedians of {options.rounds} rounds of {options.calls} calls\n")
        print_table(head(sizes), compare(sizes, options.rounds, options.calls))


if __name__ == "__main__":
    main()
