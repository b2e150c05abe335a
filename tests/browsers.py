"""A real browser, Debian's Chromium.

Playwright's sync API keeps an event loop in the thread, so a test that has a browser must not
use the ORM in its own thread: it looks at what the pages say, or starts another process."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.patience import SECONDS
from tests.programs import needs
from tests.servers import csrf_token

# Every window has an address bar, which loads two pages of its own for suggestions: half of all the work.
SUGGESTIONS = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"]
# Playwright's own, which the same switch given again would lose, as far as they matter here: they keep the
# browser from asking others over the network, and pages from waiting for each other.
OF_PLAYWRIGHT = [
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
]
SWITCHES = [
    "--no-sandbox",
    "--no-proxy-server",
    f"--disable-features={','.join([*SUGGESTIONS, *OF_PLAYWRIGHT])}",
]


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser, with nobody's profile in it; making a Visitor takes no time."""
    chromium = needs("chromium")  # before Playwright starts a program of its own, which needs libraries
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


class Loop:
    """The event loop that Playwright keeps in the thread. While it rests, others can have one there, and
    the ORM is theirs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def rest(self) -> None:
        asyncio._set_running_loop(None)

    def wake(self) -> None:
        asyncio._set_running_loop(self._loop)


class Visitor:
    """Somebody with a browser profile of their own (`page` is its one window) on one server.
    `complaints` is what the browser did not like: whatever stands in its console, errors of
    scripts, answers of 400 and above, failed requests, and requests to another server."""

    def __init__(self, browser: Browser, server: str, **options: Any) -> None:
        self.server = server
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=server, **options)
        self.context.set_default_timeout(1000 * SECONDS)
        self.context.on("console", lambda message: self._note("console", message.text))
        self.context.on("weberror", lambda error: self._note("error", error.error))
        self.context.on("requestfailed", self._check_failure)
        self.context.on("response", self._check_response)
        self.page: Page = self.context.new_page()

    def _check_failure(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # by the next page, or the end of the visit
            self._note(request.failure, request.url)

    def _check_response(self, response: Any) -> None:
        if response.status >= 400 or not response.url.startswith((f"{self.server}/", "data:", "blob:")):
            self._note(response.status, response.url)

    def _note(self, kind: Any, text: Any) -> None:
        self.complaints.append(f"{self.page.url}: {kind}: {text}")

    def expect_complaints(self, number: int, text: str) -> None:
        """Wait for so many complaints with this text, which belong to what was done, and forget them."""
        end = time.monotonic() + SECONDS
        while len(expected := [each for each in self.complaints if text in each]) < number:
            assert time.monotonic() < end, self.complaints
            self.page.wait_for_timeout(10)  # in which Playwright hears what the browser says
        for each in expected[:number]:
            self.complaints.remove(each)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, as a person does: after the page has given a field its focus (autofocus).
        A browser that finds the focus taken complains."""
        self.page.wait_for_selector(selector)
        if self.page.locator("[autofocus]").count():
            self.page.wait_for_selector(":focus")
        self.page.fill(selector, text)

    def log_in(self, name: str, path: str = "") -> None:
        """Sign in as one of the demo's people, with this browser's cookies but without its window, and open
        `path` in that."""
        token = csrf_token(self.context.request.get("/login/", timeout=1000 * SECONDS).text())
        form = {"username": name, "password": f"{name}-demo", "csrfmiddlewaretoken": token}
        answer = self.context.request.post("/login/", form=form, max_redirects=0, timeout=1000 * SECONDS)
        assert answer.status == 302, answer.text()
        if path:
            self.page.goto(path)

    def fill_in_login(self, name: str, password: str) -> None:
        """Sign in by the form in the window."""
        self.fill("[name=username]", name)
        self.fill("[name=password]", password)
        enter(self.page, "[name=password]")


# Playwright waits for no page that a click or a key leads to: what is asked next may be asked of the page
# before, or stop the browser on its way.


def follow(page: Page, link: str | Locator) -> None:
    """Click what leads to another page, and wait until that is there."""
    with page.expect_navigation():
        page.click(link) if isinstance(link, str) else link.click()


def enter(page: Page, field: str) -> None:
    """Press Enter in a field of a form, and wait for the page that this leads to."""
    with page.expect_navigation():
        page.press(field, "Enter")
