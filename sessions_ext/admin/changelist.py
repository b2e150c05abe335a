"""The admin's list, at any number of rows: nothing here counts or sorts the whole table, and
each filter reads from the newest row on."""

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext

from ..db.estimates import count_or_estimate
from ..templatetags.sessions_ext_admin import local

LISTED_AT_MOST = 10_000
DATE_PARTS = ("year", "month", "day")
DATE_FORMATS = ("Y", "YEAR_MONTH_FORMAT", "MONTH_DAY_FORMAT")


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to LISTED_AT_MOST rows. Where there are more, `count` is an estimate, and the pages end
    there: to reach a deeper page, the database would read every row before it."""

    is_at_beginning = False

    @cached_property
    def beginning(self) -> list[Any]:
        """The first page, and one more row if there is one."""
        return list(self.object_list[: self.per_page + 1])

    @cached_property
    def _counted(self) -> tuple[int, bool]:
        # A list that fits on one page is not counted: that would read the table a second time.
        if self.is_at_beginning and len(self.beginning) <= self.per_page:
            return len(self.beginning), False
        rows: Any = self.object_list
        return count_or_estimate(rows, LISTED_AT_MOST)

    @cached_property
    def count(self) -> int:
        return self._counted[0]

    @property
    def is_estimate(self) -> bool:
        return self._counted[1]

    @cached_property
    def num_pages(self) -> int:
        return -(-min(self.count, LISTED_AT_MOST) // self.per_page) or 1


class UserSessionChangeList(ChangeList):
    listed_at_most = LISTED_AT_MOST
    since: Any = None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["-pk"]  # the order of login; no other is in an index

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            filters = super().get_filters(request)
        except ValueError as error:  # there is no year after 9999
            raise IncorrectLookupParameters from error
        parameters: Any = filters[2]
        (self.since,) = parameters.get("created_at__gte", [None])
        return filters

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        rows: Any = super().get_queryset(request, exclude_parameters)
        return rows.signed_in_since(self.since) if isinstance(self.since, datetime) else rows

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.page_num == 1 and not self.show_all:
            self.result_list = self.paginator.beginning[: self.list_per_page]
        self.full_result_count = self.result_count  # or the search form repeats the number

    @cached_property
    def dates(self) -> dict[str, Any]:
        """What Django's date_hierarchy shows, from the first and the last row instead of from all."""
        chosen: tuple[int, ...] = ()
        for part in DATE_PARTS:
            if not (value := self.params.get(f"created_at__{part}")):
                break
            chosen += (int(value),)
        ends = (self.root_queryset.order_by(order).first() for order in ("pk", "-pk"))
        days = sorted(local(row.created_at).date() for row in ends if row)
        if not days:
            return {"show": False}
        span = [days[0] + timedelta(days=ahead) for ahead in range((days[-1] - days[0]).days + 1)]
        within = chosen
        while True:
            periods = {parts(day)[: len(within) + 1] for day in span if parts(day)[: len(within)] == within}
            if chosen or len(periods) != 1 or len(within) == 2:
                break
            (within,) = periods
        choices = [self._period(period, is_link=len(within) < 3) for period in sorted(periods)]
        return {"show": True, "back": self._period(chosen[:-1]) if chosen else None, "choices": choices}

    def _period(self, period: tuple[int, ...], is_link: bool = True) -> dict[str, Any]:
        names = [f"created_at__{part}" for part in DATE_PARTS]
        link = self.get_query_string(dict(zip(names, period, strict=False)), ["created_at__"])
        day = date(*(*period, 1, 1)[:3]) if period else None
        title = date_format(day, DATE_FORMATS[len(period) - 1]) if day else gettext("All dates")
        return {"title": capfirst(title), "link": link if is_link else None}


def parts(day: date) -> tuple[int, ...]:
    return day.year, day.month, day.day
