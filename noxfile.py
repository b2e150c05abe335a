"""One environment of the matrix, or one step of the gate: nox -l lists them. `.ci/run` is the whole gate."""

import nox

nox.options.sessions = ["tests-3.13(django='6.1', database='postgresql')", "docs"]

DATABASES = {
    "postgresql": "tests.settings",
    "sqlite": "tests.settings_sqlite",
    "mariadb": "tests.settings_mariadb",
}
# Which Python versions a Django version runs on.
PYTHONS = {
    "5.2": ["3.11", "3.12", "3.13", "3.14"],
    "6.0": ["3.12", "3.13", "3.14"],
    "6.1": ["3.12", "3.13", "3.14"],
}


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
@nox.parametrize("database", list(DATABASES))
@nox.parametrize("django", list(PYTHONS))
def tests(session: nox.Session, django: str, database: str) -> None:
    """The suite. What follows -- goes to pytest."""
    if session.python not in PYTHONS[django]:
        session.skip(f"Django {django} does not run on Python {session.python}")
    session.install("-e", ".[dev]", f"django=={django}.*")
    session.run("python", "-m", "pytest", f"--ds={DATABASES[database]}", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages without a warning, and check the spelling."""
    session.install("-e", ".[docs]")
    session.run("codespell")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-n", "-b", "html", "docs", "build/docs")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the sdist into dist/, and check them."""
    session.install("build", "twine")
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", "dist/*")
