"""Pictures of the demo's pages, to be looked at:

    python -m tests.screenshots [NAME ...]

Each page in light, in dark, and 390 px wide, into screenshots/ (which git ignores). NAME picks
single pages, LANGUAGE_CODE=de another language. The demo runs on SQLite unless DATABASE_URL
names a server. With --docs it takes the pictures that README shows, into docs/pictures/."""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.core import signing
from playwright.sync_api import Page

from tests.browsers import Visitor, running_chromium
from tests.demos import running_demo

FOLDER = Path(__file__).parent.parent / "screenshots"
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PICTURES = FOLDER.parent / "docs/pictures"
IN_DOCS = {"devices": {"width": 900, "height": 740}, "admin-overview": {"width": 1180, "height": 780}}
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
LOOKS = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "390px": {"color_scheme": "light", "viewport": PHONE},
    "390px-dark": {"color_scheme": "dark", "viewport": PHONE},
}


@dataclass(frozen=True)
class Shot:
    """A page as somebody sees it, `steps` having been taken there."""

    name: str
    path: str
    user: str = ""
    steps: Callable[[Page], object] = lambda page: None


SETTINGS = "tests.settings_demo"
SESSIONS = "/admin/sessions_ext/usersession/"


def ask_for_the_password(page: Page) -> None:
    page.goto("/grow-old/")
    page.goto("/devices/")
    page.click("[action$='sign-out-others/'] button")
    page.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")
    page.wait_for_selector(".errorlist")


def trust(page: Page) -> None:
    page.locator("[name=trust][value=yes]").first.click()


def open_link(page: Page, user_id: str) -> None:
    """The one that an e-mail about this session would have."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS)
    token = signing.dumps([user_id, page.inner_text("table code >> nth=0")], salt="sessions_ext.not_me")
    page.goto(f"/devices/not-me/{token}/")


def use_link(page: Page, user_id: str) -> None:
    open_link(page, user_id)
    page.click("form .sx-danger")


def open_flagged_row(page: Page) -> None:
    page.click("#result_list tbody tr:has(.session-flagged) .field-device a")


def open_first_row(page: Page) -> None:
    page.click("#result_list tbody tr:first-child .field-device a")


def choose(action: str) -> Callable[[Page], None]:
    """Tick the first rows of the list and run an action on them."""

    def steps(page: Page) -> None:
        for box in page.query_selector_all("#result_list .action-select")[:4]:
            box.check()
        page.select_option("[name=action]", action)
        page.click("[name=index]")

    return steps


SHOTS = [
    Shot("landing", "/"),
    Shot("landing-signed-in", "/", "ada"),
    Shot("login", "/login/"),
    Shot("private", "/private/", "ada"),
    Shot("devices", "/devices/", "ada"),
    Shot("devices-password", "/devices/", "linus", ask_for_the_password),
    Shot("devices-trusted", "/devices/", "ada", trust),
    Shot("devices-link", "/", "ada", partial(open_link, user_id="2")),
    Shot("devices-link-used", "/", "linus", partial(use_link, user_id="4")),
    Shot("api-docs", "/api/docs", "admin"),
    Shot("admin-list", SESSIONS, "admin"),
    Shot("admin-list-filtered", f"{SESSIONS}?state=active&q=grace", "admin"),
    Shot("admin-row", SESSIONS, "admin", open_flagged_row),
    Shot("admin-row-active", f"{SESSIONS}?state=active&q=ada", "admin", open_first_row),
    Shot("admin-revoke", SESSIONS, "admin", choose("revoke_selected")),
    Shot("admin-revoke-users", SESSIONS, "admin", choose("revoke_users")),
    Shot("admin-end-all", f"{SESSIONS}end-all/", "admin"),
    Shot("admin-overview", f"{SESSIONS}overview/", "admin"),
    Shot("admin-user", "/admin/auth/user/2/change/", "admin"),
]


def main(names: list[str]) -> None:
    is_for_docs = "--docs" in names
    names = list(IN_DOCS) if is_for_docs else names
    unknown = set(names) - {shot.name for shot in SHOTS}
    if unknown:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}.")
    shots = [shot for shot in SHOTS if not names or shot.name in names]
    os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")
    (PICTURES if is_for_docs else FOLDER).mkdir(exist_ok=True)
    complaints = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as demo,
        running_chromium() as browser,
    ):
        for look, options in LOOKS.items():
            if is_for_docs and look not in ("light", "dark"):
                continue
            options = {**options, "locale": os.environ.get("LANGUAGE_CODE", "en")}
            options |= {"user_agent": CHROME} if is_for_docs else {}
            visitors: dict[str, Visitor] = {}
            for shot in shots:
                if shot.user not in visitors:
                    visitors[shot.user] = Visitor(browser, demo.address, **options)
                    if shot.user:
                        visitors[shot.user].log_in(shot.user)
                page = visitors[shot.user].page
                if is_for_docs:
                    page.set_viewport_size(IN_DOCS[shot.name])
                    take(page, shot, PICTURES / f"{shot.name}-{look}.png", full_page=False)
                else:
                    take(page, shot, FOLDER / f"{shot.name}-{look}.png")
            complaints += [complaint for one in visitors.values() for complaint in one.complaints]
    if complaints:
        raise SystemExit("The browser complained:\n" + "\n".join(complaints))


def take(page: Page, shot: Shot, target: Path, full_page: bool = True) -> None:
    page.goto(shot.path, wait_until="networkidle")
    shot.steps(page)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=target, full_page=full_page)
    width = page.evaluate("document.documentElement.scrollWidth")
    wide = f"  {width} px wide: it scrolls sideways" if width > page.viewport_size["width"] else ""
    print(f"{target.relative_to(FOLDER.parent)}{wide}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
