"""How many statements it takes to change rows: one where the database has UPDATE … RETURNING. Elsewhere one
row is locked and changed; several are looked for, locked and changed."""

from django.db import connection

from sessions_ext.db.locks import locks_what_it_reads

_BY_KEY = locks_what_it_reads("default")
ONE_ROW = 2 if _BY_KEY else 1
ROWS = 3 if _BY_KEY else 1
COUNTED = 3 if _BY_KEY else 1  # and the new value is read
# Of the user's row, at a login without a limit and with one.
LOCK, LIMIT_LOCK = int(_BY_KEY), int(connection.features.has_select_for_update)
# Whether an open transaction has to be asked for its isolation level.
LEVEL = int(connection.vendor == "postgresql")
