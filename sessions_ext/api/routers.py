"""What the routers have in common."""

from ninja import Router

from .auth import session_auth
from .problems import answer_problems, finish_answers


def new_router(tag: str) -> Router:
    """A router whose errors are problem details, and whose answers no cache keeps."""
    made = Router(tags=[tag], auth=session_auth)
    made.add_decorator(answer_problems, mode="operation")
    made.add_decorator(finish_answers, mode="view")
    return made
