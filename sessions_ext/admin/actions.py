"""What an operator does to sessions: each act is confirmed on a page of its own, and recorded in
the admin's log in the same transaction."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers, options
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..db.estimates import count_or_estimate
from ..models import RevokedReason, UserSession
from ..querysets import UserSessionQuerySet, revoke_rows, trust_rows
from ..reasons import with_note

BATCH = 1000
SHOWN = 20
COUNTED_AT_MOST = 10_000
TEMPLATES = "admin/sessions_ext/usersession"

# Since Django 6.1 an action can stand on the row's page as well.
EVERYWHERE: Any = {"location": list(options.ActionLocation)} if hasattr(options, "ActionLocation") else {}

M = TypeVar("M", bound=Callable[..., Any])


def action(description: Any) -> Callable[[M], M]:
    made: Any = admin.action(description=description, permissions=["revoke"], **EVERYWHERE)
    return made  # type: ignore[no-any-return]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        required=False,
        widget=forms.TextInput({"class": "vTextField"}),
    )


class EndAllForm(ReasonForm):
    word = forms.CharField(widget=forms.TextInput({"class": "vTextField", "autocomplete": "off"}))
    spare_own = forms.BooleanField(label=_("Stay signed in here"), required=False, initial=True)
    field_order = ("word", "reason", "spare_own")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fields["word"].label = gettext("Type “%s” to continue") % self.word_to_type

    @property
    def word_to_type(self) -> str:
        return gettext("end all")

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word.casefold() != self.word_to_type.casefold():
            raise forms.ValidationError(gettext("Type the words exactly as shown."))
        return word


class Act(NamedTuple):
    name: str
    question: Any
    logged: Any
    told: Callable[[int], str]
    run: Callable[[UserSessionQuerySet, str], list[UUID]]


def _revoke(sessions: UserSessionQuerySet, note: str) -> list[UUID]:
    return [pk for pk, _ in revoke_rows(sessions, with_note(RevokedReason.ADMIN, note))]


def _trust(sessions: UserSessionQuerySet, note: str, is_trusted: bool = True) -> list[UUID]:
    return [pk for pk, _ in trust_rows(sessions, is_trusted)]


def _distrust(sessions: UserSessionQuerySet, note: str) -> list[UUID]:
    return _trust(sessions, note, is_trusted=False)


def _told_of_revoked(count: int) -> str:
    return ngettext("%d session was revoked.", "%d sessions were revoked.", count) % count


def _told_of_changed(count: int) -> str:
    return ngettext("%d session was changed.", "%d sessions were changed.", count) % count


REVOKE = Act("revoke_selected", _("Revoke these sessions?"), _("Revoked"), _told_of_revoked, _revoke)
REVOKE_USERS = REVOKE._replace(name="revoke_users", question=_("Revoke all sessions of these users?"))
TRUST = Act("trust_selected", _("Trust these devices?"), _("Marked as trusted"), _told_of_changed, _trust)
DISTRUST = Act(
    "untrust_selected",
    _("Stop trusting these devices?"),
    _("Marked as not trusted"),
    _told_of_changed,
    _distrust,
)


class SessionActions(admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ("revoke_selected", "revoke_users", "trust_selected", "untrust_selected")

    @action(_("Revoke selected sessions"))
    def revoke_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        return self._confirmed(request, REVOKE, queryset.active())

    @action(_("Revoke all sessions of the selected users"))
    def revoke_users(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        sessions = self.get_queryset(request).select_related("user")
        users = queryset.order_by().values("user_id")
        return self._confirmed(request, REVOKE_USERS, sessions.active().filter(user_id__in=users))  # type: ignore[attr-defined]

    @action(_("Mark selected as trusted"))
    def trust_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        return self._confirmed(request, TRUST, queryset.active().filter(is_trusted=False))

    @action(_("Mark selected as not trusted"))
    def untrust_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        return self._confirmed(request, DISTRUST, queryset.active().filter(is_trusted=True))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sessions_ext.revoke_usersession")

    @transaction.non_atomic_requests
    def end_all_view(self, request: HttpRequest) -> HttpResponse:
        """Ends every session that there is by now, in batches: if it is interrupted, those that
        are done stay done."""
        if not (self.has_revoke_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        sessions: UserSessionQuerySet = UserSession.objects.active().filter(created_at__lte=timezone.now())
        form = EndAllForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            own = getattr(request, "user_session", None)
            if own and form.cleaned_data["spare_own"]:
                sessions = sessions.exclude(pk=own.pk)
            note = form.cleaned_data["reason"]
            # Before and after, for a run that does not come to its end.
            _log_for_all(request, _with_note(gettext("Started ending everybody's sessions"), note))
            count = sum(len(_revoke(batch, note)) for batch in _in_batches(sessions))
            _log_for_all(request, _with_note(_told_of_revoked(count), note))
            self.message_user(request, _told_of_revoked(count), messages.SUCCESS)
            return HttpResponseRedirect(self.list_url)
        context = {"title": _("End everybody's sessions"), "form": form, "is_revoking": True}
        return self._page(request, "end_all", sessions, context)

    def _confirmed(
        self, request: HttpRequest, act: Act, sessions: UserSessionQuerySet
    ) -> HttpResponse | None:
        """Ask first. When that is answered, act, log and tell."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            note = form.cleaned_data["reason"]
            # All at once: an act changes what a filter of the list finds.
            pks = list(sessions.order_by("pk").values_list("pk", flat=True))
            batches = (_by_pk(pks[start : start + BATCH]) for start in range(0, len(pks), BATCH))
            count = sum(self._act(request, act, batch, note) for batch in batches)
            self.message_user(request, act.told(count), messages.SUCCESS if count else messages.WARNING)
            return None
        shown = list(sessions[:SHOWN])
        if not shown:
            self.message_user(request, _("There is nothing to do for these sessions."), messages.WARNING)
            return None
        own = getattr(request, "user_session", None)
        is_revoking = act.run is _revoke
        select_across = request.POST.get("select_across", "0")
        here = request.get_full_path()
        context = {
            "title": act.question,
            "form": form,
            "sessions": shown,
            "has_own": bool(own and is_revoking and sessions.filter(pk=own.pk).exists()),
            "act": act,
            "is_revoking": is_revoking,
            "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            "select_across": select_across,
            # What was ticked may have left the filter by the time of the answer.
            "target": here if select_across == "1" else self.list_url,
            "back": row_url(self.admin_site, shown[0]) if "from_row" in request.POST else here,
        }
        return self._page(request, "confirm", sessions, context)

    def _act(self, request: HttpRequest, act: Act, sessions: UserSessionQuerySet, note: str) -> int:
        with transaction.atomic(using=sessions.db):
            changed = set(act.run(sessions, note))
            rows = [session for session in sessions.all() if session.pk in changed]
            LogEntry.objects.log_actions(_operator(request), rows, CHANGE, _with_note(str(act.logged), note))
        return len(changed)

    def _page(
        self, request: HttpRequest, template: str, sessions: UserSessionQuerySet, context: dict[str, Any]
    ) -> HttpResponse:
        count, is_estimate = count_or_estimate(sessions, COUNTED_AT_MOST)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            **context,
            "count": count,
            "is_estimate": is_estimate,
            "more": count - len(context.get("sessions", ())),
            "list_url": self.list_url,
            "opts": self.opts,
            "media": self.media,
        }
        return TemplateResponse(request, f"{TEMPLATES}/{template}.html", context)

    @property
    def list_url(self) -> str:
        return list_url(self.admin_site)


def list_url(site: admin.AdminSite) -> str:
    return reverse("admin:sessions_ext_usersession_changelist", current_app=site.name)


def row_url(site: admin.AdminSite, session: UserSession) -> str:
    return reverse("admin:sessions_ext_usersession_change", args=[session.pk], current_app=site.name)


def _operator(request: HttpRequest) -> Any:
    return request.user.pk


def _log_for_all(request: HttpRequest, message: str) -> None:
    LogEntry.objects.create(
        user_id=_operator(request),
        content_type=ContentType.objects.get_for_model(UserSession),
        object_repr=gettext("Everybody's sessions"),
        action_flag=CHANGE,
        change_message=message,
    )


def _in_batches(sessions: UserSessionQuerySet) -> Iterator[UserSessionQuerySet]:
    """The sessions in the order of their ids; each batch is read when the one before is done."""
    ahead = sessions.order_by("pk").values_list("pk", flat=True)
    pks = list(ahead[:BATCH])
    while pks:
        yield _by_pk(pks)
        pks = list(ahead.filter(pk__gt=pks[-1])[:BATCH])


def _by_pk(pks: list[UUID]) -> UserSessionQuerySet:
    sessions: UserSessionQuerySet = UserSession.objects.primary.filter(pk__in=pks)
    return sessions


def _with_note(message: str, note: str) -> str:
    return f"{message.rstrip('.')}: {note}" if note else message
