"""How many rows there are, where counting them would take too long."""

import json
from collections.abc import Iterator
from math import prod
from typing import Any

from django.db import connections, models


def count_or_estimate(rows: models.QuerySet[Any], bound: int) -> tuple[int, bool]:
    """The number of rows, and whether it is an estimate. PostgreSQL and MariaDB count up to `bound` rows and
    otherwise return their planner's estimate. Other databases count all. One or two statements."""
    rows = rows.order_by()
    connection: Any = connections[rows.db]
    if connection.vendor != "postgresql" and not getattr(connection, "mysql_is_mariadb", False):
        return rows.count(), False
    count = rows[: bound + 1].count()
    if count <= bound:
        return count, False
    plan = json.loads(rows.explain(format="json"))
    if connection.vendor == "postgresql":
        estimate = plan[0]["Plan"]["Plan Rows"]
    else:
        tables = _tables(json.loads(plan))  # which Django takes for a text
        estimate = prod(table["rows"] * table["filtered"] / 100 for table in tables)
    return max(int(estimate), count), True


def _tables(plan: Any) -> Iterator[dict[str, Any]]:
    """The tables that MariaDB joins, and what it expects of each: rows, and the share that meets the
    conditions in percent."""
    parts = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    if isinstance(plan, dict) and "filtered" in plan:
        yield {"rows": 1, **plan}
        return
    for part in parts:
        yield from _tables(part)
