"""A MariaDB server of the tests' own, in a folder of its own."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pymysql

from tests.patience import SECONDS
from tests.programs import PACKAGES, path_of

SERVER = {
    # Nothing here outlives the run.
    "innodb-flush-log-at-trx-commit": 0,
    "innodb-doublewrite": 0,
    "innodb-flush-method": "nosync",
    "innodb-log-file-size": "256M",
    "innodb-fast-shutdown": 2,
    "innodb-buffer-pool-size": "256M",
    "skip-log-bin": 1,
    "skip-networking": 1,
    # A process of the suite has up to 64 at once, and there is one for each processor.
    "max-connections": 400,
    "character-set-server": "utf8mb4",
}
# Between which it converts times.
ZONES = ["UTC", "America/Chicago", "America/Los_Angeles", "Pacific/Auckland"]


def url() -> str:
    """DATABASE_URL, or that of a server started for this run and deleted with it. Without the program there
    is no run: its one line says what to install, and where CI is set it is an error."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    program = path_of("mariadbd")
    if program is None:
        print(f"skipped: there is no mariadbd. apt-get install {PACKAGES['mariadbd']}", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") else 0)
    folder = Path(tempfile.mkdtemp(prefix="sessions_ext_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    socket, log = folder / "socket", folder / "log"
    place = ["--no-defaults", f"--datadir={folder / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    install = ["mariadb-install-db", *place, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
    options = [f"--{name}={value}" for name, value in SERVER.items()]
    with log.open("w") as output:
        command = [program, *place, f"--socket={socket}", *options]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    atexit.register(_stop, server)
    _wait_for(server, socket, log)
    for zone in ZONES:
        command = ["mariadb-tzinfo-to-sql", "--skip-write-binlog", f"/usr/share/zoneinfo/{zone}", zone]
        tables = subprocess.run(command, check=True, capture_output=True).stdout
        subprocess.run(["mariadb", f"--socket={socket}", "--user=root", "mysql"], input=tables, check=True)
    # For the processes that tests start, too.
    os.environ["DATABASE_URL"] = f"mysql://root@/mysql?unix_socket={socket}"
    return os.environ["DATABASE_URL"]


def _wait_for(server: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Return once it answers."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            pymysql.connect(unix_socket=str(socket), user="root").close()
        except pymysql.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"MariaDB did not start: {log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait(timeout=SECONDS)
