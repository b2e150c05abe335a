from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from . import step_up
from .exceptions import TooManyAttempts


class PasswordForm(forms.Form):
    """Asks the person who is logged in for their password again. The AUTHENTICATION_BACKENDS check it, so
    that apps that lock accounts see the attempts. `seconds` is how long to wait after too many."""

    session = forms.CharField(required=False, widget=forms.HiddenInput)
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    seconds = 0.0

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        here = getattr(request, "user_session", None)
        self.session_id = str(here.pk) if here else ""
        super().__init__(data, initial={"session": self.session_id})
        self.request = request

    @property
    def is_of_another_session(self) -> bool:
        """Whether the form was made for a session that has ended, and the person has signed in again."""
        return bool(self.data.get("session")) and self.data["session"] != self.session_id

    @sensitive_variables()
    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        try:
            is_right = step_up.is_password(self.request, password)
        except TooManyAttempts as error:
            self.seconds = error.seconds
            message = _("Too many attempts. Try again later.")
            raise ValidationError(message, code="too_many_attempts") from None
        if not is_right:
            raise ValidationError(_("That is not your password."), code="invalid_password")
        return password
