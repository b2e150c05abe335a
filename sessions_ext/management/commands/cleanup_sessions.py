from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions_ext.models import UserSession


class Command(BaseCommand):
    help = "Deletes the sessions that have expired, and those revoked longer ago than REVOKED_RETENTION."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database", help="The database to clean. Default: the one sessions are written to."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        expired, revoked = UserSession.objects.db_manager(options["database"]).cleanup()
        self.stdout.write(f"Deleted {expired} expired and {revoked} revoked sessions.")
