"""How many rows there are, where counting them would take too long."""

import json
from typing import Any

from django.db import connections, models


def count_or_estimate(rows: models.QuerySet[Any], bound: int) -> tuple[int, bool]:
    """The number of rows, and whether it is an estimate. PostgreSQL counts up to `bound` rows and
    otherwise returns its planner's estimate. Other databases count all. One or two statements."""
    rows = rows.order_by()
    if connections[rows.db].vendor != "postgresql":
        return rows.count(), False
    count = rows[: bound + 1].count()
    if count <= bound:
        return count, False
    (plan,) = json.loads(rows.explain(format="json"))
    return max(int(plan["Plan"]["Plan Rows"]), count), True
