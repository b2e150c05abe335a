""" "Your devices" in a real browser. The demo sends a policy of default-src 'self'."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.once

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Mobile/15E148 Safari/604.1"
)
LOOKS = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
]


def card(page, device):
    return page.locator(".sx-card", has=page.get_by_role("heading", name=device)).first


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_one_browser_signs_the_other_out(visitor, scripts):
    here = visitor(java_script_enabled=scripts)
    there = visitor(java_script_enabled=scripts, user_agent=IPHONE)
    here.log_in("linus")
    there.log_in("linus")
    here.page.goto("/")
    here.page.click("text=Your devices >> nth=0")
    first = here.page.locator(".sx-card").first
    assert "This device" in first.inner_text()
    assert "Headless" in first.inner_text() or "Chrome" in first.inner_text()
    other = card(here.page, "Safari on iPhone")
    assert "Last active just now" in re.sub(r"\s+", " ", other.inner_text())
    there.page.goto("/private/")
    assert there.page.url.endswith("/private/")

    other.get_by_role("button", name="Sign out").click()
    assert "That device has been signed out." in here.page.get_by_role("status").inner_text()
    assert card(here.page, "Safari on iPhone").count() == 0
    ended = here.page.locator(".sx-ended li").first.inner_text()
    assert "Safari on iPhone" in ended
    assert "You signed out" in ended

    there.page.click("text=Load this page again")
    assert "/login/" in there.page.url
    here.page.goto("/private/")
    assert here.page.url.endswith("/private/")


def test_the_keyboard_alone_signs_out_everywhere_else(visitor):
    here, there = visitor(), visitor(user_agent=IPHONE)
    here.log_in("ada")
    there.log_in("ada")
    here.page.goto("/devices/")
    for _ in range(60):
        here.page.keyboard.press("Tab")
        if here.page.evaluate("document.activeElement.innerText") == "Sign out everywhere else":
            break
    outline = here.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    here.page.keyboard.press("Enter")
    here.page.wait_for_selector("[role=status]")
    assert here.page.locator(".sx-card").count() == 1
    there.page.goto("/private/")
    assert "/login/" in there.page.url


def test_the_link_of_the_mail_signs_the_intruder_out(visitor, demo):
    """The demo writes its e-mails to its log."""
    intruder, reader = visitor(user_agent=IPHONE.replace("iPhone", "iPad")), visitor()
    intruder.log_in("admin")
    (link,) = set(re.findall(r"http://\S+/not-me/\S+/", demo.mails))
    reader.page.goto(link)
    intruder.page.goto("/private/")
    assert intruder.page.url.endswith("/private/")
    reader.page.get_by_role("button").click()
    assert "That device has been signed out" in reader.page.inner_text("h1")
    intruder.page.goto("/private/")
    assert "/login/" in intruder.page.url

    reader.page.click("text=Reset your password")
    reader.fill("[name=email]", "admin@example.com")
    reader.page.press("[name=email]", "Enter")
    reader.page.wait_for_url("**/sent/")
    reader.page.goto(re.search(r"http://\S+/password-reset/\S+/", demo.mails)[0])
    reader.fill("[name=new_password1]", "another-demo-password")
    reader.fill("[name=new_password2]", "another-demo-password")
    reader.page.press("[name=new_password2]", "Enter")
    reader.page.click("main >> text=Sign in")
    reader.fill("[name=username]", "admin")
    reader.fill("[name=password]", "another-demo-password")
    reader.page.press("[name=password]", "Enter")
    reader.page.click("text=Private page")
    assert "signed in as admin" in reader.page.inner_text("main")


def check(page):
    """axe is injected by the test, which the policy of the page does not foresee: bypass_csp."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], page.url
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], page.url


@pytest.mark.demo("tests.settings_demo")
@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "390 px", "390 px dark"])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(visitor, look, demo):
    here = visitor(user_agent=IPHONE, bypass_csp=True, **look)
    here.log_in("ada")
    page = here.page
    page.goto("/devices/")
    page.get_by_role("button", name="Trust this device").first.click()
    check(page)
    page.click("text=Sign out everywhere else")
    here.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")
    page.wait_for_selector(".errorlist")
    check(page)
    (link,) = set(re.findall(r"http://\S+/not-me/\S+/", demo.mails))
    page.goto(link)
    check(page)
    page.get_by_role("button", name="sign it out").click()
    check(page)


def test_on_a_narrow_phone_the_icon_stands_beside_its_device(visitor):
    here = visitor(viewport={"width": 320, "height": 640})
    here.log_in("ada")
    here.page.goto("/devices/")
    icon, name = (here.page.locator(f".sx-card {part}").first.bounding_box() for part in ("svg", "h2"))
    assert icon["y"] + icon["height"] > name["y"]


LIGHT = "body { background: #fff; color: #222 } a { color: #00c }"
DARK = "body { color-scheme: dark; background: #000; color: #ddd } a { color: #9cf }"


@pytest.mark.parametrize("path", ["/devices/", "/devices/not-me/cut-off/"])
@pytest.mark.parametrize(
    ("system", "site", "background"),
    [("dark", LIGHT, "rgb(246, 247, 249)"), ("light", DARK, "rgb(18, 21, 28)")],
    ids=["light on a dark system", "dark on a light system"],
)
def test_a_site_that_is_always_of_one_kind_gets_a_list_of_that_kind(visitor, path, system, site, background):
    here = visitor(user_agent=IPHONE, bypass_csp=True, color_scheme=system)
    here.context.route("**/demo.css", lambda route: route.fulfill(body=site, content_type="text/css"))
    here.log_in("ada")
    here.page.goto(path)
    check(here.page)
    assert here.page.evaluate("getComputedStyle(document.querySelector('.sx')).backgroundColor") == background
    here.complaints[:] = [each for each in here.complaints if "404" not in each]  # of that link
