"""Everything the gate asks, each part by its name: ``nox -s tests``; ``nox -l`` lists them.

Plain ``nox`` runs all of it on the interpreter it was started with. ``nox -s tests-3.12`` runs the tests on
another one.
"""

import os
import sys
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests", "lowest", "strangers", "build"]
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
EMPTY_HANDED = {"NOVITA_API_KEY": None}
ON_ALL_CORES = ("-n", "auto")
GAMES = ("tests/simulation", "tests/crashes")
WITHOUT_GAMES = tuple(f"--ignore={game}" for game in GAMES)


def needs(
    session: nox.Session, *groups: str, package: bool = True, more: tuple[str, ...] = ()
) -> None:
    """Install dependency groups, and the package as it stands in the checkout.

    nox reads the groups itself: the pip that comes with Python 3.10 does not know them.
    """
    wanted = nox.project.dependency_groups(PROJECT, *groups)
    session.install("-q", *(("-e", ".") if package else ()), *wanted, *more)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the mistakes that can be seen without running anything."""
    needs(session, "lint", package=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """What two type checkers think of the source, the examples and the type tests."""
    needs(session, "types")
    for python in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--python-version", python)
        session.run("pyright", "--pythonversion", python)
    # Fails below 100 %: whoever uses this library must not meet an unknown type.
    session.run("pyright", "--verifytypes", "novitai_sdk", "--ignoreexternal")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, and how much of the code they reach."""
    needs(session, "tests")
    session.run("coverage", "erase")
    # What is played and killed reaches nothing that the others do not, and takes twice as long when it is counted.
    counted = (*ON_ALL_CORES, *WITHOUT_GAMES, *session.posargs)
    session.run("coverage", "run", "-m", "pytest", *counted)
    if not session.posargs:
        session.run("pytest", *ON_ALL_CORES, *GAMES)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


def tests_on(session: nox.Session) -> None:
    """The tests, on one version of Python."""
    needs(session, "tests")
    session.run("pytest", *ON_ALL_CORES, *session.posargs)


for python in PYTHONS:
    nox.session(tests_on, name=f"tests-{python}", python=python)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests, on the oldest dependencies that `pyproject.toml` allows."""
    pins = Path(session.create_tmp(), "lowest.txt")
    pins.write_text("\n".join(map(at_its_lowest, PROJECT["project"]["dependencies"])))
    needs(session, "tests", more=("-c", str(pins)))
    # What is played and what is killed lean on the standard library; once in a gate is enough.
    session.run("pytest", *ON_ALL_CORES, *WITHOUT_GAMES, *session.posargs)


def at_its_lowest(line: str) -> str:
    """The same requirement, bound to the version it starts from: ``a>=1.2; m`` becomes ``a==1.2; m``."""
    wanted = Requirement(line)
    (lowest,) = [part.version for part in wanted.specifier if part.operator == ">="]
    return f"{wanted.name}=={lowest}" + (f"; {wanted.marker}" if wanted.marker else "")


@nox.session
def docs(session: nox.Session) -> None:
    """The examples in the README, the guides and the docstrings, which `tests` runs too, alone."""
    needs(session, "docs")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Storms: 40,000 calls from 256 threads, as many given up on each loop, 2,000 clouds in which anything fails."""
    needs(session, "tests")
    storms = ("tests/client/test_storms.py", "--timeout", "900")
    session.run("pytest", *storms, *session.posargs, env={"SOAK": "40"})
    clouds = (*ON_ALL_CORES, "tests/instances/test_odd_clouds.py")
    session.run("pytest", *clouds, *session.posargs, env={"SEEDS": "2000"})


@nox.session
def simulation(session: nox.Session) -> None:
    """Ten thousand lives of a store and its workers in virtual time, and a thousand of a file; half an hour."""
    needs(session, "tests")
    played = (*ON_ALL_CORES, "--timeout", "3600", "tests/simulation")
    session.run("pytest", *played, *session.posargs, env={"SIMULATIONS": "10000"})


@nox.session
def crashes(session: nox.Session) -> None:
    """Six hundred kills of processes that share a job store, pauses, kills while it is made, power cuts; 5 minutes."""
    needs(session, "tests")
    session.run("python", "tests/crashes/campaign.py", *session.posargs)


@nox.session
def documents(session: nox.Session) -> None:
    """A hundred thousand documents as answers and as refusals, and as many listings that change while they are read."""
    needs(session, "tests")
    read = ("tests/cloud/test_cloud_any_answer.py", "tests/cloud/test_cloud_paging.py")
    refused = "tests/core/test_refusals.py"
    campaign = (*ON_ALL_CORES, "--timeout", "3600", *read, refused)
    session.run("pytest", *campaign, *session.posargs, env={"EXAMPLES": "100000"})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """What imports, calls, models and jobs cost beside the alternatives, in one run; a few minutes.

    Engines on PostgreSQL take part where ``POSTGRES`` names a database that may be written to.
    """
    needs(session, "benchmarks", *(("benchmark-servers",) if os.environ.get("POSTGRES") else ()))
    for name in ("imports", "parsing", "calls", "runner", "watch"):
        session.run("python", f"benchmarks/{name}.py")


@nox.session
def strangers(session: nox.Session) -> None:
    """Clients that are not ours, pointed at the emulator: curl, and another SDK of the same API."""
    needs(session, "tests", "strangers")
    session.run("pytest", "tests/strangers", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """What a user gets: the wheel alone, in an environment with nothing else, runs the quickstart."""
    needs(session, "build", package=False)
    work = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(work / "dist"))
    (wheel,) = (work / "dist").glob("*.whl")
    session.run("python", "-m", "venv", "--clear", str(work / "empty"))
    python = str(work / "empty" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    session.run(python, "-m", "pip", "install", "-q", str(wheel), external=True)
    quickstart = str(Path("examples", "quickstart.py").resolve())
    # From elsewhere, so that only what was installed can be imported.
    with session.chdir(work):
        session.run(python, "-W", "error", "-c", "import novitai_sdk", external=True)
        session.run(python, quickstart, env=EMPTY_HANDED, external=True)
