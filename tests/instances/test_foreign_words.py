"""What others say of a machine or a product is shown in one line, in a few hundred signs, and moves no terminal."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from bent import Answer, Bent
from faces import WANTED

from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import (
    InstanceFailed,
    InstanceNotFound,
    NoSuitableProduct,
    ValidationError,
    WaitTimedOut,
)
from novitai_sdk.testing import MemoryNetwork

FORGED = "\x1b[2J\x9b31m\u202e\r\n2026-01-01 ERROR somebody's line"
SHOWN = "[2J 31m 2026-01-01 ERROR somebody's line"


def opened(path: str, edit: Callable[[Any], None], **options: Any) -> Novitai:
    """A client of a cloud whose answers at *path* were edited."""
    cloud = Emulator(life=0.05)

    def bend(method: str, target: str, answer: Callable[[], Answer]) -> Answer:
        status, headers, content = answer()
        if method == "GET" and path in target and status == 200:
            found = json.loads(content)
            edit(found)
            content = json.dumps(found).encode()
        return status, headers, content

    return Novitai(
        api_key=cloud.api_key,
        network=MemoryNetwork(Bent(cloud, bend)),
        store="memory",
        poll_interval=0.01,
        **options,
    )


def each_machine(**fields: Any) -> Callable[[Any], None]:
    def edit(found: Any) -> None:
        for one in found.get("instances", [found]):
            one.update(fields)

    return edit


def test_why_a_machine_failed(caplog: pytest.LogCaptureFixture) -> None:
    why = {"state": FORGED, "message": FORGED * 1000}
    with opened("/gpu/instance", each_machine(statusError=why)) as client:
        instance = client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed) as caught:
            instance.wait_until_ready(timeout=30)
        error = caught.value
        assert error.reason is not None
        assert SHOWN in error.reason
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        found = client.instances.get(instance.id)
        assert all(str(job.error or "").isprintable() for job in client.jobs.list())
        assert found.status == "failed"
    assert "\n2026-01-01" not in caplog.text


def test_what_a_machine_is_doing() -> None:
    with opened("/gpu/instance", each_machine(status=FORGED)) as client:
        instance = client.instances.create(**WANTED)
        shown: list[str] = []
        with pytest.raises(WaitTimedOut, match="last seen") as caught:
            instance.wait_until_ready(timeout=0.5, on_progress=lambda now: shown.append(str(now)))
        assert str(caught.value).isprintable()
        assert SHOWN in str(caught.value)
        assert all(one.isprintable() for one in shown)
        (theirs,) = client.instances.list()
        assert (theirs.phase or "").isprintable()


def rename(found: Any) -> None:
    found["data"] = [{"id": str(n), "name": f"{n} {FORGED}" + "x" * 1000} for n in range(5000)]


def test_the_names_there_are() -> None:
    with opened("/products", rename) as client, pytest.raises(NoSuitableProduct) as caught:
        client.instances.create(**WANTED)
    error = caught.value
    assert SHOWN in error.candidates[0]
    assert error.candidates[-1] == "and 4900 more"
    assert all(one.isprintable() for one in error.candidates)
    assert len(str(error)) < 100_000


def test_the_regions_there_are() -> None:
    with opened("/clusters", rename) as client, pytest.raises(ValidationError) as caught:
        client.catalog.products("NOWHERE-01")
    (detail,) = caught.value.details
    assert detail.message.isprintable()
    assert len(detail.message) < 100_000


def test_the_id_a_program_was_given() -> None:
    with opened("/nothing", lambda _: None) as client:
        for call in (client.instances.get, client.instances.delete):
            with pytest.raises(InstanceNotFound) as caught:
                call(FORGED)
            assert str(caught.value).isprintable()
            assert caught.value.instance_id == FORGED
