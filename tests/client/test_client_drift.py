"""`client.drift()`, on every face."""

from typing import Any

from faces import WANTED, Face

from novitai_sdk.cloud import Drift
from novitai_sdk.emulator import faults


def test_a_client_tells_what_the_cloud_sent_that_it_does_not_know(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        assert client.drift() == ()
        instance = await done(client.instances.create(**WANTED))
        await done(instance.wait_until_ready(timeout=30))
        before = set(client.drift())
        face.cloud.order(faults.unknown_status("instances.list"))
        found = await done(client.using(timeout=20).cloud.instances.list())
        assert not found[0].status.known
        [drift] = set(client.drift()) - before
        assert (drift.model, drift.field, drift.value) == (
            "Instance",
            "status",
            str(found[0].status),
        )
        assert isinstance(drift, Drift)

    face.tell(story)
