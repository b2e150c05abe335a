"""Decorators that make a method's async twin, and that mark a method as changing rows."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Callable[..., Any])


def twin(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The async twin of a method, so that its logic is written once."""

    @wraps(method)
    async def call(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(method)(self, *args, **kwargs)

    call.__name__ = f"a{method.__name__}"
    call.__doc__ = f"See {method.__name__}()."
    return call  # type: ignore[return-value]


def alters_data(method: M) -> M:
    """A method that changes rows, so that no template calls it."""
    method.alters_data = True  # type: ignore[attr-defined]
    return method


def alters_rows(method: M) -> M:
    """A queryset method that changes its rows. The manager does not get it, since its rows are the
    whole table."""
    method.queryset_only = True  # type: ignore[attr-defined]
    return alters_data(method)
