"""An operator with a real browser, and the people whose sessions are ended."""

import re

from tests.browsers import follow
from tests.servers import Browser, log_in

LIST = "/admin/sessions_ext/usersession/"
IPV6 = "2001:db8:1234:5678:9abc:def0:1234:5678"
SCRIPT = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"


def hidden_at_the_side(page):
    """What is wider than it is shown, and would have to be scrolled sideways."""
    boxes = page.locator(".results, .session-scroll")
    return boxes.evaluate_all("boxes => boxes.map(box => box.scrollWidth - box.clientWidth).filter(Boolean)")


def ask_to_revoke(page, number):
    page.goto(f"{LIST}?state=active")
    for box in page.locator("#result_list .action-select").all()[:number]:
        box.check()
    page.select_option("[name=action]", "revoke_selected")
    follow(page, "[name=index]")


def rows_of(page):
    return page.locator("#result_list tbody tr")


def test_an_operator_ends_one_session_and_then_everybodys(visitor):
    ada, admin = visitor(), visitor()
    ada.log_in("ada", "/private/")
    admin.log_in("admin", LIST)
    page = admin.page

    follow(page, "#changelist-filter >> text=Active")
    admin.fill("#searchbar", "ada")
    follow(page, "#changelist-search [type=submit]")
    follow(page, "#changelist-filter >> text=HeadlessChrome on Linux")
    assert rows_of(page).count() == 1
    assert "Active" in rows_of(page).inner_text()

    page.check("#result_list .action-select")
    page.select_option("[name=action]", "revoke_selected")
    follow(page, "[name=index]")
    assert "1 session:" in page.inner_text("#content")
    admin.fill("[name=reason]", "stolen laptop")
    follow(page, "input[type=submit]")
    assert "1 session was revoked." in page.inner_text(".messagelist")

    follow(ada.page, "text=Load this page again")
    assert "/login/" in ada.page.url

    page.goto(f"{LIST}?q=ada&state=revoked")
    follow(page, "#result_list tbody tr:first-child .field-device a")
    timeline = page.inner_text(".session-timeline")
    assert "By an administrator: stolen laptop" in timeline
    assert re.search(r"Revoked: stolen laptop\s+admin", timeline)
    follow(page, "text=History")
    assert "Revoked: stolen laptop" in page.inner_text("#change-history")

    ada.log_in("ada", "/private/")
    page.goto(LIST)
    follow(page, "text=End everybody's sessions")
    admin.fill("[name=word]", "never mind")
    follow(page, "input[type=submit]")
    assert "Type the words exactly as shown." in page.inner_text("#content")
    admin.fill("[name=word]", "End all")
    admin.fill("[name=reason]", "the breach")
    follow(page, "input[type=submit]")
    assert "sessions were revoked." in page.inner_text(".messagelist")
    page.goto(f"{LIST}?state=active")
    assert rows_of(page).count() == 1  # the operator's own
    follow(ada.page, "text=Load this page again")
    assert "/login/" in ada.page.url
    page.goto("/admin/")
    assert "Everybody's sessions" in page.inner_text("#recent-actions-module")


def test_f15_a_script_in_a_user_agent_is_text(visitor, demo):
    """F15: on the list, the row, the confirmation, the overview and the user's page."""
    robot = Browser(demo.address)
    robot._opener.addheaders = [("User-Agent", SCRIPT)]
    log_in(robot, "/login/", "linus")
    admin = visitor()
    admin.log_in("admin", f"{LIST}?q=linus&state=active")
    page = admin.page
    follow(page, "#result_list tbody tr:first-child .field-device a")
    assert SCRIPT in page.inner_text("#content")
    assert "owned" not in page.title()
    for path in (LIST, f"{LIST}overview/", "/admin/auth/user/4/change/"):
        page.goto(path)
        assert "owned" not in page.title()


def test_the_pages_fit_a_phone(visitor):
    admin = visitor(viewport={"width": 390, "height": 844})
    admin.log_in("admin", LIST)
    first_row = f"{LIST}{admin.page.get_attribute('#result_list .action-select', 'value')}/change/"
    tools = admin.page.locator(".object-tools a").all()
    assert len({tool.bounding_box()["x"] for tool in tools}) == 1 < len(tools)
    for path in (LIST, first_row, f"{LIST}overview/", f"{LIST}end-all/", "/admin/auth/user/2/change/"):
        admin.page.goto(path)
        assert admin.page.evaluate("document.documentElement.scrollWidth") == 390
        assert not hidden_at_the_side(admin.page)
    ask_to_revoke(admin.page, 3)
    assert admin.page.evaluate("document.documentElement.scrollWidth") == 390
    assert not hidden_at_the_side(admin.page)
    assert admin.page.locator(".session-table .session-state").last.is_visible()


def test_the_lists_last_column_is_seen_beside_longer_words_and_addresses(visitor):
    admin = visitor(locale="de", viewport={"width": 1280, "height": 800})
    admin.log_in("admin", LIST)
    assert "Benutzersitzungen" in admin.page.title()
    assert not hidden_at_the_side(admin.page)
    for column, text in (("address", IPV6), ("of_user", "wystan.hugh.auden@example.org")):
        cell = admin.page.locator(f"td.field-{column}").nth(2)
        cell.evaluate("(cell, text) => cell.textContent = text", text)
        assert not hidden_at_the_side(admin.page)


def test_the_overviews_pictures_have_their_numbers_beside_them(visitor):
    admin = visitor()
    admin.log_in("admin", f"{LIST}overview/")
    page = admin.page
    assert page.locator("svg[role=img]").count() == 2
    page.click("summary >> nth=1")
    numbers = page.locator("figure >> nth=1").locator("tbody td").all_inner_texts()
    total = sum(int(number) for number in numbers)
    assert len(numbers) == 30
    assert page.get_attribute("svg[role=img] >> nth=1", "aria-label") == f"{total} in all"
    follow(page, "section:has-text('Users with') >> text=linus")
    assert {"linus"} == set(page.locator(".field-of_user").all_inner_texts())
