"""Follows docs/quickstart.md as it stands, from an empty folder: each block is copied into the file that it
names, or run in a shell, and then two browsers do what the page says.

    python tests/check_quickstart.py DIST

DIST is the folder with the built wheel, for pip to find."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.docs.pages import ROOT, Block, fenced
from tests.patience import SECONDS
from tests.servers import Browser, csrf_token, free_port, wait_for

PAGE = ROOT / "docs/quickstart.md"
SESSIONS = "/admin/sessions_ext/usersession/"


def main(dist: str) -> None:
    blocks = fenced(PAGE)
    project, site, curls = (block.code for block in blocks if block.kind == "sh")
    (cron,) = (block.code for block in blocks if block.kind == "text")
    with tempfile.TemporaryDirectory() as folder:
        root, base = Path(folder), Path(folder) / "mysite"
        run(project, root, PIP_FIND_LINKS=str(Path(dist).resolve()))
        for block in blocks:
            if block.kind == "python":
                copy(block, base)
        prepare, serve = site.strip().rsplit("\n", 1)
        run(prepare, base)
        port, log = free_port(), root / "log"
        with log.open("w") as output:
            command = shell(f"exec {serve} --noreload {port}")
            server = subprocess.Popen(command, cwd=base, stdout=output, stderr=output)
        try:
            wait_for(port, server, log)
            walk(f"http://127.0.0.1:{port}")
            answers = run(curls.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), base)
            assert '"count": 5}{"revoked": 4}' in answers, answers
        finally:
            server.terminate()
            server.wait(SECONDS)
        run(re.sub(r"^([\d*]+ ){5} *", "", cron), root)


def shell(command: str) -> list[str]:
    """In the environment that the page has made, as soon as there is one."""
    return ["bash", "-ec", f"for each in .venv ../.venv; do . $each/bin/activate 2>&- || :; done; {command}"]


def run(command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        shell(command), cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy(block: Block, base: Path) -> None:
    """Put a block where its first line says: at the end of the settings, or in the place of a file."""
    first, _, code = block.code.partition("\n")
    target = base / first.removeprefix("# ")
    before = target.read_text() if target.name == "settings.py" else ""
    target.write_text(f"{before}\n{code}")


def sign_in(server: str) -> Browser:
    browser = Browser(server)
    token = csrf_token(browser.visit("/admin/login/"))
    form = {"username": "ada", "password": "ada-quickstart", "next": "/admin/"}
    browser.visit("/admin/login/", **form, csrfmiddlewaretoken=token)
    return browser


def is_signed_in(browser: Browser) -> bool:
    browser.visit("/devices/")
    return browser.url == browser.server + "/devices/"


def walk(server: str) -> None:
    """What "See it work" says."""
    here, there = sign_in(server), sign_in(server)
    page = here.visit("/devices/")
    _, other = re.findall(r'action="(/devices/[\w-]+/sign-out/)"', page)
    here.visit(other, csrfmiddlewaretoken=csrf_token(page))
    assert not is_signed_in(there)
    assert is_signed_in(here)
    rows = here.visit(SESSIONS)
    assert "Signed out from another device" in rows
    own = re.search(r'value="([\w-]{36})"', here.visit(f"{SESSIONS}?state=active"))[1]
    form = {"action": "revoke_selected", "_selected_action": own, "csrfmiddlewaretoken": csrf_token(rows)}
    here.visit(SESSIONS, **form, reason="", confirmed="yes")
    assert not is_signed_in(here)
    first, *_, last = (sign_in(server) for _ in range(6))
    assert not is_signed_in(first)
    assert "Too many devices" in last.visit("/devices/")


if __name__ == "__main__":
    main(sys.argv[1])
