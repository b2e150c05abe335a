"""What the routers have in common."""

import re
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja import Router
from ninja.operation import Operation, PathView

from .auth import session_auth
from .problems import answer_problems, finish_answers


def new_router(tag: str) -> Router:
    """A router whose errors are problem details, and whose answers no cache keeps."""
    made = Router(tags=[tag], auth=session_auth)
    made.add_decorator(answer_problems, mode="operation")
    made.add_decorator(finish_answers, mode="view")
    return made


def share_paths(*routers: Router) -> None:
    """Let routers have operations of other methods at the same path: Django asks only the first view that
    a path leads to, and ninja makes one for each router."""
    for router in routers:
        for view in router.path_operations.values():
            view.__class__ = _SharedPathView


class _SharedPathView(PathView):
    def clone(self) -> PathView:
        cloned = super().clone()
        cloned.__class__ = type(self)
        return cloned

    def _find_operation(self, request: HttpRequest) -> Operation | None:
        found = (PathView._find_operation(view, request) for view in self._views(request.path))
        return next(filter(None, found), None)

    def _sync_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = super()._sync_view(request, *args, **kwargs)
        # That of another router may be async.
        return async_to_sync(_awaited)(answer) if isawaitable(answer) else answer

    def _not_allowed(self) -> Any:
        response = super()._not_allowed()
        operations = [operation for view in self._views() for operation in view.operations]
        response["Allow"] = ", ".join(sorted({method for each in operations for method in each.methods}))
        return response

    def _views(self, asked: str = "") -> list[Any]:
        """Those of the path in all routers of this API, this one first. What was asked for may be a fixed
        path of another router, which a parameter of this one has taken for its own."""
        routers: Any = self.operations[0].api._get_bound_routers()
        views = [
            (bound.prefix, path, view) for bound in routers for path, view in bound.path_operations.items()
        ]
        (prefix, own), *_ = [(prefix, path) for prefix, path, view in views if view is self]
        taken = re.compile(re.sub(r"\\{.*?\\}", "[^{]+", re.escape(own)))
        others = [
            view
            for other_prefix, path, view in views
            if view is not self
            and other_prefix == prefix
            and (path == own or (taken.fullmatch(path) and asked.endswith(path)))
        ]
        return [self, *others]


async def _awaited(answer: Any) -> Any:
    return await answer
