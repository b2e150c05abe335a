"""Browsers, and the site before and after it came here. The site before is a process of its own, which has
the package's engine and not this app: python -m tests.company.coming_from.browsers. It reads visits from its
standard input, a line of JSON each, and answers likewise."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"


@dataclass
class Browser:
    cookie: str | None = None
    agent: str = AGENT
    address: str = "203.0.113.9"

    def visit(self, site: Any, path: str, **posted: str) -> Any:
        """What the site answers, as JSON where it is; keeps the cookie that it sets."""
        answer = site.answer(asdict(self), path, posted)
        self.cookie = answer["cookie"]
        return json.loads(answer["body"]) if answer["body"].startswith("{") else None

    def log_in(self, site: Any, user: Any) -> str:
        """By the login page of the site, whatever it calls its fields."""
        name = user.get_username()
        self.visit(site, site.login_page, username=name, login=name, password="password")
        assert self.sees(site) == name
        return self.cookie

    def sees(self, site: Any) -> str:
        """Who the site says is logged in; "" for nobody."""
        return self.visit(site, "/seen/")["user"]


class SiteAfter:
    login_page = "/login/"

    def answer(self, browser: dict[str, Any], path: str, posted: dict[str, str]) -> dict[str, Any]:
        from django.test import Client

        client = Client(REMOTE_ADDR=browser["address"], HTTP_USER_AGENT=browser["agent"])
        if browser["cookie"]:
            client.cookies["sessionid"] = browser["cookie"]
        response = client.post(path, posted) if posted else client.get(path)
        assert response.status_code < 400, response.content.decode()[:2000]
        cookie = client.cookies["sessionid"].value if "sessionid" in client.cookies else None
        return {"cookie": cookie or None, "body": response.content.decode()}


class SiteBefore:
    def __init__(self, package: str, engine: str, database: str, root: Any) -> None:
        self.login_page = "/accounts/login/" if "allauth" in package else "/login/"
        environment = os.environ | {
            "DATABASE_URL": database,
            "DJANGO_SETTINGS_MODULE": "tests.company.coming_from.settings_before",
            "SITE_BEFORE": f"{package}:{engine}",
        }
        command = [sys.executable, "-m", "tests.company.coming_from.browsers"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, cwd=root, text=True, **pipes)

    def answer(self, *visit: Any) -> dict[str, Any]:
        print(json.dumps(visit), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def main() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        print(json.dumps(SiteAfter().answer(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
