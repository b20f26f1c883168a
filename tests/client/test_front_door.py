"""What importing the package costs and brings, and what it leaves for later."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

import novitai_sdk
from novitai_sdk import models

# What measures coverage loads modules of its own into every process it watches.
UNWATCHED = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}


def run(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys, novitai_sdk\n{script}"],
        env=UNWATCHED,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


HEAVY = {"httpx", "sqlite3", "ssl", "socket", "asyncio", "anyio", "trio", "tqdm", "email"}
HEAVY |= {"http.server", "http.client", "urllib.request", "hashlib", "logging"}


def test_importing_loads_no_network_no_database_and_no_loop():
    loaded = run("print(*sys.modules)")
    assert "cattrs" in loaded
    assert loaded & HEAVY == set()


def test_importing_leaves_the_big_packages_for_when_they_are_used():
    loaded = run("print(*sys.modules)")
    later = ["cloud", "jobs", "emulator", "instances", "webhooks", "testing", "health", "_engine"]
    assert loaded & {f"novitai_sdk.{name}" for name in later} == set()


def test_what_is_left_for_later_is_found_by_its_name():
    run(
        "import novitai_sdk.cloud, novitai_sdk.jobs, novitai_sdk.emulator, novitai_sdk.instances\n"
        "import novitai_sdk.webhooks, novitai_sdk.testing, novitai_sdk.health, novitai_sdk.settings"
    )


@pytest.mark.parametrize("name", ["cloud", "health", "instances", "jobs", "transport", "webhooks"])
def test_what_is_behind_the_door_is_loaded_when_it_is_used(name):
    run(
        f"assert 'novitai_sdk.{name}' not in sys.modules\nassert '{name}' in dir(novitai_sdk)\n"
        f"assert novitai_sdk.{name}.__all__\nassert 'novitai_sdk.{name}' in sys.modules"
    )


@pytest.mark.parametrize("package", [novitai_sdk, models])
def test_completion_offers_what_is_public_and_modules_and_nothing_else(package):
    offered = {name for name in dir(package) if not name.startswith("_")}
    others = offered - set(package.__all__)
    assert {name for name in others if not isinstance(getattr(package, name), ModuleType)} == set()
    assert offered >= {name for name in package.__all__ if not name.startswith("_")}


def test_what_is_not_there_is_not_found():
    with pytest.raises(AttributeError, match="has no attribute 'Novitay'"):
        novitai_sdk.Novitay  # noqa: B018 - looking is what is tried


def test_a_plain_client_in_memory_needs_no_database():
    loaded = run(
        "client = novitai_sdk.Novitai(api_key='sk-example', store='memory')\n"
        "client.jobs.stats()\nclient.close()\nprint(*sys.modules)"
    )
    assert loaded & {"sqlite3", "http.server", "tqdm"} == set()
    assert "httpx" in loaded


@pytest.mark.parametrize("name", sorted(novitai_sdk.__all__))
def test_every_name_at_the_door_is_there(name):
    assert getattr(novitai_sdk, name) is not None
