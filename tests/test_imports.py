"""Who may import whom: a module imports what stands below it, and nothing that stands beside or above it
imports it back. Imports inside functions count; what stands under TYPE_CHECKING serves annotations alone."""

import ast
from pathlib import Path

import pytest

import sessions_ext

ROOT = Path(sessions_ext.__file__).parent

# From the bottom up. A folder stands for what is in it.
LEVELS = [
    {"__init__", "batches", "conf", "decorators", "exceptions", "passwords", "reasons", "signals"}
    | {"throttle", "types"},
    {"clients", "db"},
    {"lifetime", "limits", "outages"},
    {"verdict_cache"},
    {"cleanup"},
    {"querysets"},
    {"managers"},
    {"models"},
    {
        "activity",
        "adoption",
        "authentication",
        "endings",
        "impersonation",
        "observers",
        "payloads",
        "requests",
    },
    {"cookies"},
    {"make_room", "new_device", "store", "tokens"},
    {"step_up"},
    {"engines", "events", "mail", "middleware", "other_packages", "receivers", "tasks"},
    {
        "admin",
        "api",
        "channels",
        "forms",
        "login_hooks",
        "management",
        "metrics",
        "rest_framework",
        "templatetags",
        "testing",
        "urls",
    }
    | {"views"},
    {"checks", "database_checks"},
    {"apps"},
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        if "migrations" not in path.parts:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


MODULES = dict(modules())


def room(module):
    return module.partition(".")[0]


def for_annotations(tree):
    """The nodes under TYPE_CHECKING."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    checking = (block for block in blocks if getattr(block.test, "id", "") == "TYPE_CHECKING")
    return {id(node) for block in checking for part in block.body for node in ast.walk(part)}


def imports_of(module, path):
    """The modules of the app that a module imports, and the names that it takes from each."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    left_out = for_annotations(tree)
    for node in ast.walk(tree):
        if id(node) in left_out or not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            parts = package.split(".") if package else []
            base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
        elif (node.module or "").partition(".")[0] == "sessions_ext":
            base = node.module.partition(".")[2]
        else:
            continue
        for alias in node.names:
            inner = f"{base}.{alias.name}".strip(".")
            yield (inner, None) if inner in MODULES else (base or "__init__", alias.name)


IMPORTS = {module: list(imports_of(module, path)) for module, path in MODULES.items()}


def test_every_module_has_its_level():
    assert {room(module) for module in MODULES} <= set(LEVEL_OF)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_nothing_from_above_it(module):
    above = [
        imported
        for imported, _ in IMPORTS[module]
        if LEVEL_OF[room(imported)] > LEVEL_OF[room(module)] and room(imported) != room(module)
    ]
    assert above == []


def test_nothing_imports_in_a_circle():
    state, circles = {}, []

    def walk(module, way):
        state[module] = "open"
        for imported in sorted({name for name, _ in IMPORTS.get(module, ())} - {module}):
            if state.get(imported) == "open":
                circles.append([*way, module, imported])
            elif imported not in state:
                walk(imported, [*way, module])
        state[module] = "done"

    for module in MODULES:
        if module not in state:
            walk(module, [])
    assert circles == []


@pytest.mark.parametrize("module", MODULES)
def test_no_module_takes_a_private_name_from_another(module):
    private = [name for _, name in IMPORTS[module] if name and name.startswith("_")]
    assert private == []


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "db"])
def test_the_database_package_knows_nothing_of_the_app(module):
    assert [imported for imported, _ in IMPORTS[module] if room(imported) != "db"] == []


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_models_are_imported_and_not_asked_for_by_name(path):
    assert "apps.get_model(" not in path.read_text()


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_a_module_is_one_concept(path):
    assert len(path.read_text().splitlines()) <= 350
