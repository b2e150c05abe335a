""" "Your devices" in a real browser. The demo sends a policy of default-src 'self'."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browsers import enter, follow

pytestmark = pytest.mark.once

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Mobile/15E148 Safari/604.1"
)
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Each colour and each width once. axe takes a second for a look at a page.
LOOKS = [("light", DESK), ("dark", PHONE)]
OTHER_LOOKS = [("dark", DESK), ("light", PHONE)]


def card(page, device):
    return page.locator(".sx-card", has=page.get_by_role("heading", name=device)).first


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_one_browser_signs_the_other_out(visitor, scripts):
    here = visitor(java_script_enabled=scripts)
    there = visitor(java_script_enabled=scripts, user_agent=IPHONE)
    here.log_in("linus", "/")
    there.log_in("linus")
    follow(here.page, "text=Your devices >> nth=0")
    first = here.page.locator(".sx-card").first
    assert "This device" in first.inner_text()
    assert "Headless" in first.inner_text() or "Chrome" in first.inner_text()
    other = card(here.page, "Safari on iPhone")
    assert "Last active just now" in re.sub(r"\s+", " ", other.inner_text())
    there.page.goto("/private/")
    assert there.page.url.endswith("/private/")

    follow(here.page, other.get_by_role("button", name="Sign out"))
    assert "That device has been signed out." in here.page.get_by_role("status").inner_text()
    assert card(here.page, "Safari on iPhone").count() == 0
    ended = here.page.locator(".sx-ended li").first.inner_text()
    assert "Safari on iPhone" in ended
    assert "You signed out" in ended

    follow(there.page, "text=Load this page again")
    assert "/login/" in there.page.url
    here.page.goto("/private/")
    assert here.page.url.endswith("/private/")


def test_the_keyboard_alone_signs_out_everywhere_else(visitor):
    here, there = visitor(), visitor(user_agent=IPHONE)
    here.log_in("ada", "/devices/")
    there.log_in("ada")
    for _ in range(60):
        here.page.keyboard.press("Tab")
        if here.page.evaluate("document.activeElement.innerText") == "Sign out everywhere else":
            break
    outline = here.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    enter(here.page, ":focus")
    assert here.page.locator("[role=status]").is_visible()
    assert here.page.locator(".sx-card").count() == 1
    there.page.goto("/private/")
    assert "/login/" in there.page.url


def test_the_link_of_the_mail_signs_the_intruder_out(visitor, demo):
    intruder, reader = visitor(user_agent=IPHONE.replace("iPhone", "iPad")), visitor()
    intruder.log_in("admin")
    reader.page.goto(demo.link("/devices/not-me/"))
    intruder.page.goto("/private/")
    assert intruder.page.url.endswith("/private/")
    follow(reader.page, reader.page.get_by_role("button"))
    assert "That device has been signed out" in reader.page.inner_text("h1")
    intruder.page.goto("/private/")
    assert "/login/" in intruder.page.url

    follow(reader.page, "text=Reset your password")
    reader.fill("[name=email]", "admin@example.com")
    enter(reader.page, "[name=email]")
    reader.page.goto(demo.link("/password-reset/"))
    reader.fill("[name=new_password1]", "another-demo-password")
    reader.fill("[name=new_password2]", "another-demo-password")
    enter(reader.page, "[name=new_password2]")
    follow(reader.page, "main >> text=Sign in")
    reader.fill_in_login("admin", "another-demo-password")
    follow(reader.page, "text=Private page")
    assert "signed in as admin" in reader.page.inner_text("main")


def check(page):
    """axe is injected by the test, which the policy of the page does not foresee: bypass_csp."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], page.url
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], page.url


def check_looks(page, looks=LOOKS):
    for colors, viewport in looks:
        page.emulate_media(color_scheme=colors)
        page.set_viewport_size(viewport)
        check(page)


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(LOOKS, id="light, and 390 px dark"),
        pytest.param(OTHER_LOOKS, id="dark, and 390 px light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(visitor, looks, demo):
    here = visitor(user_agent=IPHONE, bypass_csp=True)
    here.log_in("ada", "/grow-old/")
    page = here.page
    page.goto("/devices/")
    follow(page, page.get_by_role("button", name="Trust this device").first)
    check_looks(page, looks)
    follow(page, "text=Sign out everywhere else")
    here.fill("[name=password]", "wrong")
    enter(page, "[name=password]")
    assert page.locator(".errorlist").is_visible()
    check_looks(page, looks)
    page.goto(demo.link("/devices/not-me/"))
    check_looks(page, looks)
    follow(page, page.get_by_role("button", name="sign it out"))
    check_looks(page, looks)


def test_on_a_narrow_phone_the_icon_stands_beside_its_device(visitor):
    here = visitor(viewport={"width": 320, "height": 640})
    here.log_in("ada", "/devices/")
    icon, name = (here.page.locator(f".sx-card {part}").first.bounding_box() for part in ("svg", "h2"))
    assert icon["y"] + icon["height"] > name["y"]


LIGHT = "body { background: #fff; color: #222 } a { color: #00c }"
DARK = "body { color-scheme: dark; background: #000; color: #ddd } a { color: #9cf }"


@pytest.mark.parametrize(
    ("system", "site", "background"),
    [("dark", LIGHT, "rgb(246, 247, 249)"), ("light", DARK, "rgb(18, 21, 28)")],
    ids=["light on a dark system", "dark on a light system"],
)
def test_a_site_that_is_always_of_one_kind_gets_a_list_of_that_kind(visitor, system, site, background):
    here = visitor(user_agent=IPHONE, bypass_csp=True, color_scheme=system)
    here.context.route("**/demo.css", lambda route: route.fulfill(body=site, content_type="text/css"))
    here.log_in("ada")
    for path in ("/devices/", "/devices/not-me/cut-off/"):
        here.page.goto(path)
        check(here.page)
        shown = here.page.evaluate("getComputedStyle(document.querySelector('.sx')).backgroundColor")
        assert shown == background, path
    here.expect_complaints(2, "404")  # of that link
