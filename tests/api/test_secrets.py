"""What is written down of calls holds no secret."""

import sys

import pytest
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.test import Client
from django.views.debug import ExceptionReporter

from tests.api.calls import JSON, App, refresh, sign_in

pytestmark = pytest.mark.django_db


def test_no_log_line_holds_a_secret(user, settings, caplog):
    settings.DEBUG = True
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    caplog.set_level("DEBUG")
    app = App(user)
    sign_in(user.get_username(), "a-wrong-password")
    Client().post("/api/sessions", '{"password": "a-wrong-password"', JSON)
    app.get("/sessions")
    for authorization in ("Basic a-wrong-password", "Bearer a-wrong-password", "a-wrong-password"):
        app.get("/sessions", headers={"Authorization": authorization})
    for _ in range(2):
        refresh(app.tokens["refresh_token"])
    logged = [record for record in caplog.records if not record.name.startswith("django.db")]
    assert "refresh token used twice" in str([record.getMessage() for record in logged])
    written = "".join(f"{record.getMessage()} {vars(record)}" for record in logged)
    for secret in (app.tokens["access_token"], app.tokens["refresh_token"], "a-wrong-password"):
        assert secret not in written
        assert secret.rpartition(".")[2] not in written


WAYS = ["login", "authenticate", "refresh", "by token", "sign out", "ended, refresh", "ended, by token"]


@pytest.mark.parametrize("way", WAYS)
def test_the_report_of_an_error_holds_no_secret(user, app, at_login, monkeypatch, way):
    """As it is mailed to the administrators, with the variables of each frame."""
    reports = []

    def report(sender, request, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info(), is_email=True)
        reports.append(reporter.get_traceback_html() + reporter.get_traceback_text())

    def fail(*args, **kwargs):
        raise OperationalError("the database went away")

    got_request_exception.connect(report)
    client = Client(raise_request_exception=False)
    try:
        if way == "login":
            at_login(fail)
            answer = sign_in(user.get_username(), client=client)
        elif way == "authenticate":
            monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.user_can_authenticate", fail)
            answer = sign_in(user.get_username(), "password", client=client)
        else:
            if way.startswith("ended"):
                app.session.revoke("limit")
                monkeypatch.setattr("sessions_ext.endings.why", fail)
            else:
                monkeypatch.setattr("sessions_ext.managers.UserSessionManager.verify", fail)
            body = {"refresh_token": app.tokens["refresh_token"]}
            if way.endswith("refresh"):
                answer = client.post("/api/sessions/refresh", body, JSON)
            else:
                method = client.get if way.endswith("by token") else client.delete
                answer = method("/api/sessions/current", headers=app.headers)
    finally:
        got_request_exception.disconnect(report)
    assert answer.status_code == 500
    assert "went away" not in answer.content.decode()
    [written] = reports
    assert "the database went away" in written
    for token in (app.tokens["access_token"], app.tokens["refresh_token"]):
        assert token not in written
    if way == "login":  # in an error of Django's own authenticate() its own frames tell
        assert "&#x27;password&#x27;" not in written
