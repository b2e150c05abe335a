from functools import wraps

from ninja import NinjaAPI

from sessions_ext.api import login_router, router, session_auth, staff_router


def with_icons(page):  # type: ignore[no-untyped-def]
    """Swagger UI's style sheet carries its icons inside itself, as data: URLs."""

    @wraps(page)
    def with_policy(*args, **kwargs):  # type: ignore[no-untyped-def]
        response = page(*args, **kwargs)
        response.headers["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response

    return with_policy


api = NinjaAPI(
    title="Sessions", version="1.0.0", auth=session_auth, urls_namespace="api", docs_decorator=with_icons
)
api.add_router("", login_router)
api.add_router("", router)
api.add_router("", staff_router)


@api.get("/me", response=dict[str, str], operation_id="me", summary="An operation of the project's own")
def me(request):  # type: ignore[no-untyped-def]
    return {"username": request.user.get_username()}
