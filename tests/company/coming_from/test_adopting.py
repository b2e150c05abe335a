"""Who was logged in through another package's engine is logged in through ours, and has a row."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.forms import model_to_dict
from django.utils import timezone
from django.utils.module_loading import import_string

from sessions_ext import other_packages, signals
from sessions_ext.conf import conf
from sessions_ext.models import UserSession
from sessions_ext.reasons import RevokedReason
from sessions_ext.testing import UserFactory
from tests.company.coming_from.browsers import Browser
from tests.docs.pages import ROOT, fenced
from tests.docs.test_shell import commands

DAY = timedelta(days=1)
TABLE_NEEDED = "needs a SESSION_ENGINE with a table of its own, such as sessions_ext.engines.db."
copying = pytest.mark.parametrize("package", ["user_sessions", "qsessions"])
by_allauth = pytest.mark.parametrize("package", ["allauth"])
by_qsessions = pytest.mark.parametrize("package", ["qsessions"])
by_user_sessions = pytest.mark.parametrize("package", ["user_sessions"])


@pytest.fixture
def run(source):
    """Runs the command, and returns what it says of its work."""

    def run(**options):
        out = StringIO()
        call_command("adopt_sessions", "--from", source, json=True, stdout=out, **options)
        said = json.loads(out.getvalue())
        return {
            name: count for name, count in said.items() if count and name not in ("is_complete", "dry_run")
        }

    return run


@pytest.fixture
def theirs(source):
    """The rows of the package."""
    return import_string(other_packages.SOURCES[source].model)._base_manager.all()


def row_of(user):
    return UserSession.objects.for_user(user).get()


def test_who_was_logged_in_stays_logged_in_and_has_a_row(sign_in, run, after, theirs, source):
    user, browser = sign_in()
    cookie = browser.cookie
    their = theirs.get(session_key=cookie)
    assert run() == {"adopted": 1}
    row = row_of(user)
    assert row.expires_at == Session.objects.get(session_key=cookie).expire_date
    assert browser.visit(after, "/seen/")["row"] == str(row.pk)
    assert browser.cookie == cookie
    assert (row.device_info, row.ip_address, row.last_ip_address) == (
        "Chrome on macOS",
        "203.0.113.9",
        "203.0.113.9",
    )
    assert row.user_agent == browser.agent
    assert row.last_activity_at == getattr(their, other_packages.SOURCES[source].seen)
    assert row.is_adopted
    row.revoke("stolen")
    assert browser.sees(after) == ""


@pytest.mark.parametrize("package", ["qsessions", "allauth"])
def test_the_time_of_the_login_is_theirs(sign_in, run, theirs):
    user, _ = sign_in()
    began = timezone.now() - 3 * DAY
    theirs.update(created_at=began)
    run()
    assert row_of(user).created_at == began


@pytest.mark.parametrize("package", ["user_sessions", "qsessions"])
def test_where_that_time_is_not_known_it_is_that_of_the_last_activity(sign_in, run, package, theirs):
    user, _ = sign_in()
    if package == "qsessions":  # rows that are older than its column
        theirs.update(created_at=None)
    run()
    assert row_of(user).created_at == row_of(user).last_activity_at


@by_qsessions
def test_nobody_has_just_proved_who_they_are(sign_in, run, after):
    """The login may have been made by whoever acts as the user."""
    user, browser = sign_in()
    run()
    assert browser.sees(after) == user.get_username()
    assert browser.visit(after, "/fresh/") is None
    browser.log_in(after, user)
    assert browser.visit(after, "/fresh/") == {"fresh": True}


def test_what_the_session_holds_is_kept(sign_in, run, before, after):
    _, browser = sign_in()
    browser.visit(before, "/put/?cart=book")
    run()
    assert browser.visit(after, "/seen/")["cart"] == "book"


@copying
def test_a_session_of_nobody_keeps_its_data_and_gets_no_row(before, run, after):
    browser = Browser()
    browser.visit(before, "/put/?cart=book")
    assert run() == {"anonymous": 1}
    assert not UserSession.objects.exists()
    assert browser.visit(after, "/seen/") == {"user": "", "row": None, "cart": "book"}
    user = UserFactory()
    browser.log_in(after, user)
    assert browser.visit(after, "/seen/")["row"] == str(row_of(user).pk)


def test_a_second_run_adopts_nothing_twice_and_writes_over_nothing(sign_in, run, after):
    user, browser = sign_in()
    run()
    row = row_of(user)
    browser.visit(after, "/put/?cart=book")
    row.refresh_from_db()
    assert run() == {"known": 1}
    assert model_to_dict(row_of(user)) == model_to_dict(row)
    assert browser.visit(after, "/seen/") == {"user": user.get_username(), "row": str(row.pk), "cart": "book"}


def test_a_second_run_takes_who_came_in_between(sign_in, run, after):
    first, second = sign_in(), None
    run()
    second = sign_in()
    assert run() == {"adopted": 1, "known": 1}
    for user, browser in (first, second):
        assert browser.sees(after) == user.get_username()


def test_what_was_revoked_here_is_not_revived_by_a_second_run(sign_in, run, after):
    user, browser = sign_in()
    run()
    row_of(user).revoke("stolen")
    assert browser.sees(after) == ""
    run()
    assert browser.sees(after) == ""
    assert row_of(user).revoked_reason == "stolen"


def test_logins_that_are_over_are_left_behind(sign_in, run, before):
    changed, _ = sign_in()
    changed.set_password("another")
    changed.save()
    disabled, _ = sign_in()
    disabled.is_active = False
    disabled.save()
    _, browser = sign_in()
    browser.visit(before, "/logout/", now="yes")
    assert set(run()) == {"ended"}
    assert not UserSession.objects.exists()


def test_sessions_that_have_expired_are_left_behind(sign_in, run, package, theirs):
    sign_in()
    table = Session.objects.all() if package == "allauth" else theirs
    table.update(expire_date=timezone.now() - DAY)
    assert run() == ({"ended": 1} if package == "allauth" else {})
    assert not UserSession.objects.exists()


def test_an_idle_timeout_holds_for_them(sign_in, run, settings, theirs, source):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": DAY}
    sign_in()
    theirs.update(**{other_packages.SOURCES[source].seen: timezone.now() - 2 * DAY})
    assert run() == {"ended": 1}
    assert not UserSession.objects.exists()


def test_nobody_is_told_and_nobody_ended_by_the_limit(sign_in, run, after, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "NEW_DEVICE_EMAIL": True}
    user, *browsers = sign_in()
    browsers += [sign_in(user)[1] for _ in range(2)]
    told = []
    all_signals = [getattr(signals, name) for name in signals.__all__]

    def hear(**kwargs):
        told.append(kwargs)

    for signal in all_signals:
        signal.connect(hear)
    try:
        assert run() == {"adopted": 3}
    finally:
        for signal in all_signals:
            signal.disconnect(hear)
    assert (told, mail.outbox) == ([], [])
    assert [browser.sees(after) for browser in browsers] == [user.get_username()] * 3


def test_the_next_login_ends_the_ones_beyond_the_limit(sign_in, run, after, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    user, _ = sign_in()
    _, newest = sign_in(user)
    run()
    Browser().log_in(after, user)
    assert UserSession.objects.for_user(user).active().count() == 2
    assert newest.sees(after) == user.get_username()


def test_a_dry_run_counts_what_a_run_does_and_does_nothing(sign_in, run, before, after, package):
    _, browser = sign_in()
    Browser().visit(before, "/put/?cart=book")
    counts = run(dry_run=True)
    assert counts == {"adopted": 1} if package == "allauth" else {"adopted": 1, "anonymous": 1}
    assert not UserSession.objects.exists()
    if package != "allauth":
        assert browser.sees(after) == ""
        assert not Session.objects.exists()
    assert run() == counts


def test_a_bound_leaves_work_for_the_next_run(sign_in, run, after, source, capsys):
    people = [sign_in() for _ in range(3)]
    with pytest.raises(SystemExit) as stopped:
        call_command("adopt_sessions", "--from", source, max_rows="2", batch_size="1")
    assert stopped.value.code == 75
    assert capsys.readouterr().out == (
        "2 logins adopted, 0 sessions without a user copied, 0 there already, 0 of nobody left behind."
        " More are left.\n"
    )
    assert UserSession.objects.count() == 2
    with pytest.raises(SystemExit) as stopped:
        run(max_seconds=0)
    assert stopped.value.code == 75
    assert run(max_rows=2) == {"adopted": 1, "known": 2}
    for user, browser in people:
        assert browser.sees(after) == user.get_username()


@copying
def test_with_end_missing_a_logout_on_the_site_before_ends_what_was_adopted(sign_in, run, before, after):
    user, browser = sign_in()
    stays, other = sign_in()
    run()
    captured = Browser(cookie=browser.cookie)
    browser.visit(before, "/logout/", now="yes")
    newcomer = UserFactory()
    own = Browser()
    own.log_in(after, newcomer)
    assert run(dry_run=True, end_missing=True)["missing"] == 1
    assert row_of(user).is_active
    assert run(end_missing=True, batch_size=1)["missing"] == 1
    assert row_of(user).revoked_reason == RevokedReason.LOGOUT
    assert captured.sees(after) == ""
    assert (other.sees(after), own.sees(after)) == (stays.get_username(), newcomer.get_username())
    assert "missing" not in run(end_missing=True)


@by_user_sessions
def test_ending_the_missing_stops_at_a_bound_and_goes_on(sign_in, run, theirs):
    for _ in range(2):
        sign_in()
    run()
    theirs.delete()
    with pytest.raises(SystemExit) as stopped:
        run(end_missing=True, batch_size=1, max_seconds=0)
    assert stopped.value.code == 75
    assert UserSession.objects.active().count() == 1
    assert run(end_missing=True) == {"missing": 1}
    assert not UserSession.objects.active().exists()


PAGES = {
    "user_sessions": "django-user-sessions",
    "qsessions": "django-qsessions",
    "allauth.usersessions": "allauth-usersessions",
}


@pytest.mark.parametrize("package", ["user_sessions", "qsessions", "allauth"])
def test_the_steps_of_the_documentation_keep_people_logged_in(sign_in, before, after, source):
    page = fenced(ROOT / f"docs/coming-from/{PAGES[source]}.md")
    runs = [words for block in page if block.kind == "sh" for words in commands(block)]
    first, *again = [words[2:] for words in runs if "adopt_sessions" in words]
    stays, leaves, comes = sign_in(), sign_in(), None
    call_command(*first)
    comes = sign_in()
    captured = Browser(cookie=leaves[1].cookie)
    leaves[1].visit(before, "/logout/", now="yes")
    for words in again or [first]:
        call_command(*words)
    assert captured.sees(after) == ""
    for user, browser in (stays, comes):
        assert browser.visit(after, "/seen/")["row"] == str(row_of(user).pk)
        assert row_of(user).device_info == "Chrome on macOS"


@copying
def test_without_it_nobody_is_ended(sign_in, run, after, theirs):
    user, browser = sign_in()
    run()
    theirs.delete()
    assert run() == {}
    assert browser.sees(after) == user.get_username()


@by_qsessions
def test_a_login_older_than_the_lifetime_stays_until_its_cookie_ends(sign_in, run, after, theirs):
    user, browser = sign_in()
    theirs.update(created_at=timezone.now() - 2 * conf.LIFETIME)
    run()
    end = row_of(user).expires_at
    browser.visit(after, "/put/?cart=book")
    assert browser.sees(after) == user.get_username()
    assert row_of(user).expires_at == end


@by_user_sessions
def test_where_each_request_moves_the_cookies_end_a_row_lasts_for_the_lifetime(sign_in, run, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    user, _ = sign_in()
    run()
    assert row_of(user).expires_at > timezone.now() + conf.LIFETIME - DAY


@by_user_sessions
def test_a_user_who_is_deleted_meanwhile_stops_nobody_else(sign_in, run, after, settings):
    people = [sign_in() for _ in range(2)]
    settings.SESSIONS_EXT = {"DEVICE_INFO": f"{__name__}.delete_a_user"}
    assert run() == {"adopted": 1, "ended": 1}
    assert [browser.sees(after) for _, browser in people] == [people[0][0].get_username(), ""]


@by_user_sessions
def test_a_session_of_a_user_who_has_gone_is_left_behind(sign_in, run, theirs):
    user, _ = sign_in()
    theirs.update(user=None)
    user.delete()
    assert run() == {"ended": 1}
    assert not Session.objects.exists()


@by_user_sessions
def test_an_error_of_the_database_leaves_no_data_that_name_a_missing_row(sign_in, run, after):
    user, browser = sign_in()
    table = UserSession._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT refusing CHECK (device_info = 'none')")
        try:
            with pytest.raises(IntegrityError):
                run()
        finally:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT refusing")
    assert not Session.objects.exists()
    assert run() == {"adopted": 1}
    assert browser.sees(after) == user.get_username()


def delete_a_user(user_agent):
    """Deletes the user who came last, while there are two."""
    users = UserFactory._meta.model.objects.order_by("pk")
    if users.count() == 2:
        users.last().delete()
    return ""


@by_allauth
def test_the_data_may_be_where_there_is_no_table(run, after, settings, user, transactional_db):
    """allauth's usersessions with the cache as the engine."""
    from allauth.usersessions.models import UserSession as Their

    settings.SESSION_ENGINE = "sessions_ext.engines.cache"
    browser = Browser()
    browser.log_in(after, user)
    store = import_string("django.contrib.sessions.backends.cache.SessionStore")(browser.cookie)
    store.update({})
    for key in ("_sessions_ext", "_sessions_ext_authenticated"):
        del store[key]
    store.save()
    UserSession.objects.all().delete()
    for key in (browser.cookie, "gone"):
        Their.objects.create(user=user, session_key=key, ip="203.0.113.7", user_agent=browser.agent)
    assert run() == {"adopted": 1, "ended": 1}
    assert browser.visit(after, "/seen/")["row"] == str(row_of(user).pk)
    assert row_of(user).ip_address == "203.0.113.7"


@by_allauth
def test_a_login_that_has_its_row_gets_no_second_one(run, after, user, transactional_db):
    """Both apps were there at the login."""
    browser = Browser()
    browser.visit(after, "/accounts/login/", login=user.get_username(), password="password")
    row = browser.visit(after, "/seen/")["row"]
    assert run() == {"known": 1}
    assert str(row_of(user).pk) == row


@by_user_sessions
def test_a_login_of_both_apps_keeps_its_row(run, after, user, transactional_db, settings):
    """The middleware of this app was there before the engine was changed."""
    ours, middleware = settings.SESSION_ENGINE, settings.MIDDLEWARE
    settings.SESSION_ENGINE = "user_sessions.backends.db"
    settings.MIDDLEWARE = ["user_sessions.middleware.SessionMiddleware", *middleware[1:]]
    browser = Browser()
    browser.log_in(after, user)
    row = browser.visit(after, "/seen/")["row"]
    settings.SESSION_ENGINE, settings.MIDDLEWARE = ours, middleware
    assert run() == {"known": 1}
    assert browser.visit(after, "/seen/")["row"] == row == str(row_of(user).pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("package", "change", "options", "line"),
    [
        (
            "user_sessions",
            {"INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "sessions_ext"]},
            {},
            "--from needs user_sessions in INSTALLED_APPS, until all are adopted.",
        ),
        (
            "qsessions",
            {"SESSION_ENGINE": "qsessions.backends.db"},
            {},
            f"--from qsessions {TABLE_NEEDED}",
        ),
        (
            "user_sessions",
            {"SESSION_ENGINE": "sessions_ext.engines.cache"},
            {},
            f"--from user_sessions {TABLE_NEEDED}",
        ),
        (
            "allauth",
            {},
            {"end_missing": True},
            "--end-missing is not for allauth.usersessions: a logout there deletes the data here.",
        ),
        ("qsessions", {}, {"batch_size": "0"}, "--batch-size must be 1 to 1000000."),
        ("qsessions", {}, {"max_seconds": "long"}, "--max-seconds: 'long' is not a number of seconds."),
    ],
)
def test_what_makes_no_sense_gets_one_clear_line(run, settings, change, options, line):
    for name, value in change.items():
        setattr(settings, name, value)
    with pytest.raises(CommandError) as refused:
        run(**options)
    assert str(refused.value) == line


@by_qsessions
def test_it_says_a_line_a_batch(sign_in, source, capsys):
    for _ in range(2):
        sign_in()
    call_command("adopt_sessions", "--from", source, verbosity=2, batch_size=1)
    rest = "0 sessions without a user copied, 0 there already, 0 of nobody left behind"
    assert capsys.readouterr().out.splitlines() == [
        f"1 logins adopted, {rest}",
        f"2 logins adopted, {rest}",
        f"2 logins adopted, {rest}.",
    ]
    call_command("adopt_sessions", "--from", source, verbosity=0)
    assert capsys.readouterr().out == ""
