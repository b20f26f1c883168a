"""The plan of the house, kept by tests: who may import whom, and what stands at the doors.

A door (a package's ``__init__``) is transparent: a name taken through it counts where it was made. So
callers may use the short path without leaning on everything else behind the same door.
"""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, get_origin

import pytest

PACKAGE = "novitai_sdk"
ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / PACKAGE
LONGEST = 600

# The longest prefix that fits a module names its floor. Imports point down, or stay on their floor; those
# under TYPE_CHECKING and those inside functions count too, since they lean just as much.
FLOOR = {
    # 6, doors
    "__init__": 6,
    "client": 6,
    # 5, services
    "_counted": 5,
    "_engine": 5,
    "_network": 5,
    "_hosting": 5,
    "instances._handlers": 5,
    "instances._watch": 5,
    "jobs._background": 5,
    "jobs._enqueueing": 4,
    "jobs._crew": 5,
    "jobs._handling": 2,
    "jobs._runner": 5,
    "jobs._signals": 5,
    "webhooks._handler": 5,
    # 4, nouns
    "cloud": 4,
    "health": 4,
    "instances": 4,
    "jobs._noun": 4,
    "webhooks": 4,
    # 3, engine
    "_passing": 3,
    "_replies": 3,
    "_session": 3,
    # 2, edges
    "_closed": 2,
    "_doorbell": 2,
    "_loops": 2,
    "_mailbox": 2,
    "_transport": 2,
    "transport": 2,
    "_waiting": 2,
    "jobs": 2,
    "webhooks._sender": 2,
    # 1, contract
    "_asked": 1,
    "_convert": 1,
    "_gates": 1,
    "_masking": 1,
    "_readers": 1,
    "_values": 1,
    "cloud._change_models": 1,
    "cloud._instance_models": 1,
    "cloud._account_models": 1,
    "cloud._endpoint_models": 1,
    "cloud._job_models": 1,
    "cloud._prewarm_models": 1,
    "cloud._limits": 1,
    "cloud._network_models": 1,
    "cloud._drift": 1,
    "cloud._paging": 1,
    "cloud._product_models": 1,
    "cloud._raw": 1,
    "cloud._refusals": 1,
    "cloud._reported": 1,
    "cloud._route": 1,
    "cloud._routes": 1,
    "cloud._template_models": 1,
    "cloud._words": 1,
    "otel": 1,
    "validation": 1,
    "webhooks._event": 1,
    # 0, words
    "_calling": 0,
    "_circuit": 0,
    "_circuit_life": 0,
    "_default_store": 0,
    "_drift": 0,
    "_inherited": 0,
    "_job_event": 0,
    "_meter": 0,
    "_once": 0,
    "_overdue": 0,
    "_promise": 0,
    "_rate": 0,
    "_retry": 0,
    "_version": 0,
    "errors": 0,
    "jobs._checks": 0,
    "jobs._errors": 0,
    "jobs._life": 0,
    "jobs._schedule": 0,
    "models": 0,
    "settings": 0,
    "webhooks._address": 0,
    "webhooks._headers": 0,
    "webhooks._port": 0,
    "webhooks._signature": 0,
}
# Beside the floors: nobody inside may lean on them, and they may lean on no floor above the one named.
BESIDE = {"emulator": 1, "testing": 2}

# Whoever waits, waits on a port, so that a test holds the clock in its hands. These are the ports, and what
# gives the runner a loop to live in.
WAITING = {
    "_transport",
    "_waiting",
    "_doorbell",
    "_loops",
    "_mailbox",
    "_engine",
    "_hosting",
    "jobs._background",
    "jobs._crew",
    "jobs._runner",
    "jobs._signals",
    "webhooks._sender",
    *BESIDE,
}
# What is imported in few places, so that it can be replaced, faked, or left unloaded.
ONLY_IN = {
    "cattrs": {"_convert"},
    "sqlite3": {"jobs._sqlite", "jobs._file"},
    "httpx": {"_transport", "webhooks._sender"},
    "httpcore": {"_transport"},
    "anyio": WAITING,
    "asyncio": WAITING,
    "trio": WAITING,
    "opentelemetry": {"otel"},
    "time": {"_transport", "_waiting", *BESIDE},
}


class Import(NamedTuple):
    """One name that a module takes from elsewhere in the package."""

    target: str
    line: int
    at_run_time: bool


def module_at(path: Path) -> str:
    """``jobs._store`` for ``jobs/_store.py``, ``jobs`` for ``jobs/__init__.py``, ``__init__`` for the front door."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


PATHS = {module_at(path): path for path in sorted(SOURCE.rglob("*.py"))}
DOORS = {module for module, path in PATHS.items() if path.name == "__init__.py"}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(PATHS[module].read_text(encoding="utf-8"))


def fitting(module: str, prefixes: dict[str, int] | set[str]) -> str | None:
    """The longest of the *prefixes* that *module* is, or lies in."""
    found = [name for name in prefixes if module == name or module.startswith(f"{name}.")]
    return max(found, key=len, default=None)


def origin(module: str, node: ast.ImportFrom) -> str | None:
    """The module of the package that *node* takes names from; None for one outside."""
    if not node.level:
        package, _, inner = (node.module or "").partition(".")
        return (inner or "__init__") if package == PACKAGE else None
    parts = [] if module == "__init__" else module.split(".")
    above = node.level - (module in DOORS)
    base = parts[: len(parts) - above] if above else parts
    return ".".join([*base, *filter(None, [node.module])]) or "__init__"


def behind(module: str, name: str) -> str:
    """The module that makes *name*, looking through the doors it is handed on by."""
    inner = name if module == "__init__" else f"{module}.{name}"
    if inner in PATHS:
        return inner
    if module in DOORS:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    source = origin(module, node)
                    if source and name == (alias.asname or alias.name):
                        return behind(source, alias.name)
    return module


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    return tuple(_imports_of(module))


def _imports_of(module: str) -> Iterator[Import]:
    tree = tree_of(module)
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, inner = alias.name.partition(".")
                if package == PACKAGE:
                    yield Import(inner or "__init__", node.lineno, id(node) not in for_types)
        if not isinstance(node, ast.ImportFrom):
            continue
        source = origin(module, node)
        if source is None:
            continue
        for alias in node.names:
            target = behind(source, alias.name)
            used = attributes(tree, alias.asname or alias.name) if target in DOORS else set()
            for end in {behind(target, name) for name in used} or {target}:
                yield Import(end, node.lineno, id(node) not in for_types)


def attributes(tree: ast.Module, owner: str) -> set[str]:
    """What is taken from *owner* by a dot: ``Phase`` in ``cloud.Phase``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    }


def foreign_imports_of(module: str) -> Iterator[tuple[str, int]]:
    """The top-level packages from outside that *module* imports, wherever in it."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0], node.lineno


def may_import(module: str, target: str) -> str | None:
    """None, or the rule that forbids *module* to import *target*."""
    if module in DOORS and target.startswith(f"{module}."):
        return None
    home, there = fitting(module, BESIDE), fitting(target, BESIDE)
    if there:
        if there == home:
            return None
        return f"{there} stands beside the house: nothing inside leans on it"
    floor = FLOOR[fitting(target, FLOOR) or ""]
    if home:
        if floor <= BESIDE[home]:
            return None
        return f"{home} may lean on floors up to {BESIDE[home]}; {target} is on floor {floor}"
    own = FLOOR[fitting(module, FLOOR) or ""]
    return None if floor <= own else f"imports point down: this is floor {own}, that is {floor}"


@pytest.mark.parametrize("module", PATHS)
def test_every_module_has_a_place(module: str) -> None:
    assert fitting(module, FLOOR) or fitting(module, BESIDE), (
        f"{PATHS[module]} has no floor: add it to FLOOR in {__file__}"
    )


@pytest.mark.parametrize("module", PATHS)
def test_imports_point_down(module: str) -> None:
    wrong = [
        f"{PATHS[module]}:{found.line} imports {found.target}: {rule}"
        for found in imports_of(module)
        if (rule := may_import(module, found.target))
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_do_not_need_each_other_in_a_circle() -> None:
    needs = {
        module: {found.target for found in imports_of(module) if found.at_run_time} - {module}
        for module in PATHS
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " needs ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", PATHS)
def test_edges_are_touched_only_where_they_belong(module: str) -> None:
    wrong = [
        f"{PATHS[module]}:{line} imports {name}, which only {sorted(ONLY_IN[name])} may"
        for name, line in foreign_imports_of(module)
        if name in ONLY_IN and not fitting(module, ONLY_IN[name])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", PATHS)
def test_no_module_is_too_long_to_read(module: str) -> None:
    lines = PATHS[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{PATHS[module]} has {lines} lines: find the second module in it"


def test_importing_the_package_is_silent_and_loads_neither_network_nor_database() -> None:
    script = f"import sys, {PACKAGE}; print(*sys.modules)"
    # Coverage, when it measures subprocesses, would load the database itself.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {"httpx", "httpcore", "sqlite3", "trio", "tqdm"}.isdisjoint(done.stdout.split())


PUBLIC = [module for module in PATHS if not any(part.startswith("_") for part in module.split("."))]
PUBLIC.append("__init__")


def loaded(module: str) -> ModuleType:
    return importlib.import_module(PACKAGE if module == "__init__" else f"{PACKAGE}.{module}")


def literal_all(module: str) -> list[str]:
    """The names in ``__all__`` as written: a reader and a type checker can see no others."""
    for node in tree_of(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    pytest.fail(f"{PATHS[module]} has no literal __all__")


@pytest.mark.parametrize("module", PUBLIC)
def test_what_a_module_offers_is_what_it_lists(module: str) -> None:
    names = literal_all(module)
    assert len(set(names)) == len(names), (
        f"listed twice: {[n for n in names if names.count(n) > 1]}"
    )
    here = loaded(module)
    missing = [name for name in names if not hasattr(here, name)]
    assert not missing, f"{here.__name__} lists {missing} but has none"
    unlisted = sorted(
        name
        for name, value in vars(here).items()
        if not name.startswith("_")
        and name not in names
        and not isinstance(value, ModuleType)
        and is_made_for(module, value)
    )
    assert not unlisted, f"{here.__name__} has {unlisted}: list it, or give it an underscore"


def is_made_for(module: str, value: object) -> bool:
    """Whether a name is the module's own; a door's own are all that come from the package."""
    maker = getattr(value, "__module__", None) or ""
    return (
        maker.partition(".")[0] == PACKAGE if module in DOORS else maker == loaded(module).__name__
    )


def undocumented(name: str, value: object) -> Iterator[str]:
    # Python 3.10 takes an alias such as Callable[[int], str] for a class.
    alias = get_origin(value) is not None
    if alias or not (inspect.isclass(value) or inspect.isroutine(value)):
        return  # a constant or an alias of a type: its docstring cannot be asked for
    if not (getattr(value, "__doc__", None) or "").strip():
        yield name
    if not inspect.isclass(value):
        return
    for key, member in vars(value).items():
        face = inspect.isroutine(member) or hasattr(type(member), "__get__")
        slot = inspect.ismemberdescriptor(member)
        ours = (getattr(member, "__module__", None) or PACKAGE).partition(".")[0] == PACKAGE
        # A method that says nothing may stand for one above it that does: getdoc asks there too.
        public = face and ours and not slot and not key.startswith("_")
        if public and not inspect.getdoc(getattr(value, key)):
            yield f"{name}.{key}"


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_says_what_it_is(module: str) -> None:
    here = loaded(module)
    assert here.__doc__, f"{here.__name__} has no docstring"
    silent = [
        found for name in literal_all(module) for found in undocumented(name, getattr(here, name))
    ]
    assert not silent, f"{here.__name__} exports without a docstring: {silent}"


def test_the_gate_runs_what_the_readme_promises() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert command.endswith("nox")
    assert command in (ROOT / "README.md").read_text().splitlines()
