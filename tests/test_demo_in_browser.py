"""The demo in a real browser, under the policy that it sends."""

import pytest

pytestmark = pytest.mark.once


@pytest.mark.parametrize("path", ["/", "/private/", "/api/docs", "/admin/"])
def test_a_page_breaks_nothing_of_its_policy(visitor, path):
    admin = visitor()
    admin.log_in("admin")
    response = admin.page.goto(path)
    admin.page.wait_for_load_state("networkidle")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert admin.page.inner_text("body").strip()


def test_the_api_is_tried_in_the_browser(visitor):
    admin = visitor()
    admin.log_in("admin")
    admin.page.goto("/api/docs")
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
