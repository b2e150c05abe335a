"""What else somebody needs who has the right password, by the apps that sites have for that. Each can be
the LOGIN_HOOK: a callable that is given the request, the user, and the code that was sent or "". It returns
to let the user in, raises SecondFactorRequired to ask for more, or PermissionDenied to refuse.

And where somebody without a password proves again who they are: a callable for REAUTHENTICATE_URL."""

from typing import Any

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from .exceptions import SecondFactorRequired


@sensitive_variables("code")
def django_otp(request: HttpRequest, user: Any, code: str) -> None:
    """Of a user with confirmed devices of django-otp, the token of one of them. Where none is sent,
    devices that send theirs (by e-mail, say) are told to."""
    from django_otp import devices_for_user, match_token

    devices = list(devices_for_user(user))
    if not devices or (code and match_token(user, code)):
        return
    for device in devices if not code else ():
        if device.is_interactive():
            device.generate_challenge()
    raise SecondFactorRequired(sorted({device._meta.model_name.removesuffix("device") for device in devices}))


@sensitive_variables("code")
def allauth(request: HttpRequest, user: Any, code: str) -> None:
    """As allauth's own login: a verified e-mail address where ACCOUNT_EMAIL_VERIFICATION is "mandatory",
    and the code of a user with authenticators of allauth.mfa, an app's or one for recovery. A security key
    has no code: whoever has nothing else signs in on the site."""
    if apps.is_installed("allauth.account"):
        from allauth.account import app_settings
        from allauth.account.utils import has_verified_email

        is_mandatory = app_settings.EMAIL_VERIFICATION == app_settings.EmailVerificationMethod.MANDATORY
        if is_mandatory and not has_verified_email(user):
            raise PermissionDenied("The e-mail address is not verified.")
    if apps.is_installed("allauth.mfa"):
        _ask_for_code_of_allauth(request, user, code)


@sensitive_variables("code")
def _ask_for_code_of_allauth(request: HttpRequest, user: Any, code: str) -> None:
    from allauth.core import context
    from allauth.mfa.base.forms import AuthenticateForm
    from allauth.mfa.models import Authenticator
    from allauth.mfa.utils import is_mfa_enabled

    if not is_mfa_enabled(user):
        return
    if code:
        # It limits the attempts. Not its save(), which writes to the session of the browser.
        form = AuthenticateForm({"code": code}, user=user)
        with context.request_context(request):
            is_right = form.is_valid()
        if is_right:
            form.authenticator.record_usage()
            return
    raise SecondFactorRequired(
        Authenticator.objects.filter(user=user).order_by("type").values_list("type", flat=True).distinct()
    )


def allauth_reauthentication(request: HttpRequest) -> str:
    """A REAUTHENTICATE_URL: the page of allauth where this person gives the code of a second factor, or else
    signs in again by the social account that they used last. An OpenID provider is told to ask them."""
    from allauth.account.adapter import get_adapter
    from allauth.socialaccount.models import SocialAccount

    user: Any = request.user
    if methods := get_adapter().get_reauthentication_methods(user):
        return str(methods[0]["url"])
    used = SocialAccount.objects.filter(user=user).order_by("-last_login").first()
    if used is None:
        return reverse("account_login")
    provider = used.get_provider(request)
    more = {"auth_params": "prompt=login"} if provider.id == "openid_connect" else {}
    return str(provider.get_login_url(request, process="login", **more))
