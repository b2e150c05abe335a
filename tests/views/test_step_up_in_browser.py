"""Confirming, and making room at the limit, in a real browser."""

import pytest

from tests.browsers import enter, follow
from tests.views.test_in_browser import check_looks

pytestmark = pytest.mark.once

FETCH = """async () => {
    const answer = await fetch("/secret/");
    return [answer.status, answer.headers.get("WWW-Authenticate"), (await answer.json()).code];
}"""
CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age="900"'


def test_a_page_asks_who_it_is_and_one_comes_back(visitor):
    here = visitor(bypass_csp=True)  # for axe
    here.log_in("ada", "/secret/")
    page = here.page
    assert page.inner_text("h1") == "The secret"

    page.goto("/grow-old/")
    assert page.evaluate(FETCH) == [401, CHALLENGE, "insufficient_user_authentication"]
    here.expect_complaints(2, "401")
    page.goto("/secret/")
    assert "Confirm that it" in page.inner_text("h1")
    here.fill("[name=password]", "wrong")
    enter(page, "[name=password]")
    assert "That is not your password." in page.inner_text(".errorlist")
    check_looks(page)
    here.fill("[name=password]", "ada-demo")
    enter(page, "[name=password]")
    assert page.url.endswith("/secret/")
    assert page.inner_text("h1") == "The secret"
    assert page.evaluate("fetch('/secret/').then(answer => answer.status)") == 200


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_who_has_lost_their_browser_gets_in_within_one_page(visitor, scripts):
    here = visitor(java_script_enabled=scripts, bypass_csp=True)
    page = here.page
    page.goto("/login/?next=/private/")
    here.fill_in_login("grace", "grace-demo")
    assert page.locator(".sx-card").count()
    here.expect_complaints(2, "403")
    while page.locator(".sx-card").count():  # the demo has more sessions of hers than places
        if scripts:
            check_looks(page)
        follow(page, page.get_by_role("button", name="Sign out").first)
    assert "There is room for this device now." in page.inner_text("main")
    if scripts:
        check_looks(page)
    follow(page, "main a.sx-button")
    here.fill_in_login("grace", "grace-demo")
    assert page.url.endswith("/private/")
    assert "signed in as grace" in page.inner_text("main")
