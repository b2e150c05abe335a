import os
import socket
from typing import Any

from django.contrib.auth.models import User
from django.contrib.staticfiles.management.commands import runserver
from django.core.management import CommandError, CommandParser, call_command
from django.db import transaction
from django.utils import timezone

from example_project.people import PEOPLE, Person, past_logins
from sessions_ext.models import UserSession


class Command(runserver.Command):
    help = "Creates the demo's database, users and sessions if they are missing, and serves the demo."
    addr: str
    port: str
    use_ipv6: bool

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--no-serve", action="store_true", help="Stop before serving.")
        parser.set_defaults(use_reloader=False)

    def run(self, **options: Any) -> None:
        if not options["no_serve"]:
            self.check_port()
        call_command("migrate", interactive=False, verbosity=0)
        for person in PEOPLE:
            add(person)
        self.stdout.write(self.style.SUCCESS(f"{UserSession.objects.count()} sessions in the database."))
        self.stdout.write(
            table([("User", "Password", "Role"), *((p.username, p.password, p.role) for p in PEOPLE)])
        )
        if not options["no_serve"]:
            super().run(**options)

    def check_port(self) -> None:
        family = socket.AF_INET6 if self.use_ipv6 else socket.AF_INET
        try:
            with socket.socket(family) as probe:  # does not listen, so that nobody takes it for the demo
                if os.name == "posix":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
                probe.bind((self.addr, int(self.port)))
        except (OSError, OverflowError):
            raise CommandError(
                f"Cannot serve at {self.addr}, port {self.port}: the port is taken or not allowed."
                " Choose another: python manage.py demo 8001"
            ) from None


@transaction.atomic
def add(person: Person) -> None:
    """Add a person with past logins; of one who is there already, only mend the password."""
    user = User.objects.filter(username=person.username).first()
    if user is None:
        user = User.objects.create_user(
            person.username,
            person.email,
            person.password,
            is_staff=person.is_admin,
            is_superuser=person.is_admin,
        )
        UserSession.objects.bulk_create(past_logins(person, user, timezone.now()))
    elif user.email != person.email:
        raise CommandError(
            f"The database already has a user {user.username!r} who is not the demo's. Use another database."
        )
    elif not user.check_password(person.password):
        user.set_password(person.password)
        user.save()


def table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n" + "\n".join(f"  {line}".rstrip() for line in lines) + "\n"
