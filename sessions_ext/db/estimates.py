"""How many rows there are, where counting them would take too long."""

import json
from typing import Any

from django.db import connections, models

from .mariadb import is_mariadb, planned_rows


def count_or_estimate(rows: models.QuerySet[Any], bound: int) -> tuple[int, bool]:
    """The number of rows, and whether it is an estimate. PostgreSQL and MariaDB count up to `bound` rows and
    otherwise return their planner's estimate. Other databases count all. One or two statements."""
    rows = rows.order_by()
    is_postgresql = connections[rows.db].vendor == "postgresql"
    if not is_postgresql and not is_mariadb(rows.db):
        return rows.count(), False
    count = rows[: bound + 1].count()
    if count <= bound:
        return count, False
    plan = json.loads(rows.explain(format="json"))
    # Django takes MariaDB's plan for a text.
    estimate = plan[0]["Plan"]["Plan Rows"] if is_postgresql else planned_rows(json.loads(plan))
    return max(int(estimate), count), True
