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
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from .. import step_up
from ..conf import conf
from ..db.estimates import count_or_estimate
from ..models import RevokedReason, UserSession
from ..querysets import UserSessionQuerySet, revoke_rows, trust_rows
from ..reasons import with_note

BATCH = 1000
WALKS = 100
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
        return self._confirmed(request, REVOKE, _written(queryset).active())

    @action(_("Revoke all sessions of the selected users"))
    def revoke_users(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        sessions = self._active(request).select_related("user")
        users = _written(queryset).order_by().values_list("user_id", flat=True).distinct()

        def batches() -> Iterator[UserSessionQuerySet]:
            for these in _in_chunks(list(users)):
                yield from _until_nobody_is_left(sessions.filter(_in_which_act(these)))

        return self._confirmed(request, REVOKE_USERS, sessions.filter(_in_which_act(users)), batches)

    @action(_("Mark selected as trusted"))
    def trust_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        return self._confirmed(request, TRUST, _written(queryset).active().own().filter(is_trusted=False))

    @action(_("Mark selected as not trusted"))
    def untrust_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> HttpResponse | None:
        return self._confirmed(request, DISTRUST, _written(queryset).active().filter(is_trusted=True))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sessions_ext.revoke_usersession")

    @transaction.non_atomic_requests
    def end_all_view(self, request: HttpRequest) -> HttpResponse:
        """Ends every session that this admin shows to whoever asks, in batches, until none is left: if it
        is interrupted, those that are done stay done. Staff who signed in a while ago confirm first."""
        if not (self.has_revoke_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        if step_up.has_page() and step_up.may_be_asked(request) and not step_up.is_fresh(request):
            return step_up.refusal(request)
        sessions = self._active(request)
        form = EndAllForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            own = getattr(request, "user_session", None)
            if own and form.cleaned_data["spare_own"]:
                sessions = sessions.exclude(pk=own.pk)
            note = form.cleaned_data["reason"]
            # Before and after, because the run may be cut off in between.
            _log_for_all(request, _with_note(gettext("Started ending everybody's sessions"), note))
            count = sum(len(_revoke(batch, note)) for batch in _until_nobody_is_left(sessions))
            _log_for_all(request, _with_note(_told_of_revoked(count), note))
            self.message_user(request, _told_of_revoked(count), messages.SUCCESS)
            return HttpResponseRedirect(self.list_url)
        context = {"title": _("End everybody's sessions"), "form": form, "is_revoking": True}
        return self._page(request, "end_all", sessions, context)

    def _active(self, request: HttpRequest) -> UserSessionQuerySet:
        """What get_queryset() lets whoever asks see, which may be one tenant's."""
        sessions: Any = self.get_queryset(request)
        return _written(sessions).active()

    def _confirmed(
        self,
        request: HttpRequest,
        act: Act,
        sessions: UserSessionQuerySet,
        batches: Callable[[], Iterator[UserSessionQuerySet]] | None = None,
    ) -> HttpResponse | None:
        """Ask first. When that is answered, act on the sessions, or on all `batches`, log and tell."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            note = form.cleaned_data["reason"]
            found = batches() if batches else _batches_of_now(sessions)
            count = sum(self._act(request, act, batch, note) for batch in found)
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
            "has_own": bool(own and is_revoking and sessions.filter(pk=own.pk, user_id=own.user_id).exists()),
            "act": act,
            "is_revoking": is_revoking,
            "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            "select_across": select_across,
            # A session that was ticked may no longer match the filter when the answer comes.
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


def _in_which_act(users: Any) -> Q:
    """The sessions of users, and with an IMPERSONATOR those in which they act as others."""
    own = Q(user_id__in=users)
    return own | Q(impersonator_id__in=users) if conf.IMPERSONATOR else own


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


def _written(sessions: UserSessionQuerySet) -> UserSessionQuerySet:
    """The same sessions, of the database that they are written to: a replica may lag behind."""
    return sessions.using(UserSession.objects.primary.db)


def _batches_of_now(sessions: UserSessionQuerySet) -> Iterator[UserSessionQuerySet]:
    # All ids at once: an act changes what a filter of the list finds.
    for pks in _in_chunks(list(sessions.order_by("pk").values_list("pk", flat=True))):
        yield _by_pk(pks)


def _until_nobody_is_left(sessions: UserSessionQuerySet) -> Iterator[UserSessionQuerySet]:
    """The sessions in batches, in the order of their ids, each read when the one before is done. Who logs
    in behind that, as by a clock that is late, is found by the next walk, and the last finds nobody. (Where
    somebody logs in all the time the walks end somewhere; the first was over all who were there before.)"""
    ahead = sessions.order_by("pk").values_list("pk", flat=True)
    for _walk in range(WALKS):
        pks = first = list(ahead[:BATCH])
        while pks:
            yield _by_pk(pks)
            pks = list(ahead.filter(pk__gt=pks[-1])[:BATCH])
        if not first:
            return


def _in_chunks(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _by_pk(pks: list[UUID]) -> UserSessionQuerySet:
    sessions: UserSessionQuerySet = UserSession.objects.primary.filter(pk__in=pks)
    return sessions


def _with_note(message: str, note: str) -> str:
    return f"{message.rstrip('.')}: {note}" if note else message
