"""The demo in a real browser, under the policy that it sends."""

import pytest

pytestmark = pytest.mark.once


def test_no_page_breaks_anything_of_its_policy(visitor):
    admin = visitor()
    for path in ("/", "/admin/"):
        admin.page.goto(path)
        assert admin.page.inner_text("body").strip(), path
    admin.fill_in_login("admin", "admin-demo")
    for path in ("/", "/private/", "/admin/"):
        response = admin.page.goto(path)
        assert "default-src 'self'" in response.headers["content-security-policy"], path
        assert "admin" in admin.page.inner_text("body"), path


def test_the_api_is_tried_in_the_browser(visitor):
    admin = visitor()
    admin.log_in("admin")
    response = admin.page.goto("/api/docs")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    admin.page.click("text=Your sessions, newest first")
    admin.page.click("text=Try it out")
    admin.page.click("button.execute")
    admin.page.locator(".live-responses-table .response", has_text='"state": "active"').wait_for()


def test_the_policy_stops_an_inline_script(visitor):
    anyone = visitor()
    anyone.page.goto("/")
    anyone.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }"""
    )
    assert anyone.page.evaluate("window.ran") is None
    anyone.expect_complaints(1, "Content Security Policy")
