from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin


class ContentSecurityPolicy(MiddlewareMixin):
    """Nothing inline and nothing foreign, on every page that sets no policy of its own. The
    same as Django's own middleware of that name, which Django 5.2 has not."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response
