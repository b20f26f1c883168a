"""Rent a machine, be told when it is ready, give it back: on every face, over real sockets."""

import math
from typing import Any

import pytest
from faces import WANTED

from novitai_sdk import (
    CreateInstanceRequest,
    InstanceNotFound,
    InstanceStateError,
    InstanceStatus,
    NoSuitableProduct,
    NotFound,
    Novitai,
    ValidationError,
    WaitTimedOut,
)


def test_a_machine_is_rented_followed_to_ready_and_given_back(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        assert made.status == "creating"
        assert made.id.startswith("inst_")
        assert made.hourly_price > 0

        ready = await done(made.wait_until_ready(timeout=10))
        assert ready.id == made.id
        assert ready.status is InstanceStatus.RUNNING
        assert ready.connection_details.ssh.startswith("ssh -p ")
        assert {port.port for port in ready.port_mappings} == {8888, 22}
        assert all(port.endpoint for port in ready.port_mappings)
        assert ready.ready_at >= ready.created_at

        gone = await done(ready.delete())
        assert gone.status is InstanceStatus.TERMINATED
        assert await done(client.instances.list(include_unmanaged=True)) == ()

    face.tell(story)
    assert face.cloud.calls("instances.create") == 1
    (machine,) = face.cloud.instances
    assert machine.status in {"toRemove", "removing", "removed", "(gone)"}


def test_the_machine_carries_the_id_it_was_given(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=10))
        machine = await done(client.cloud.instances.get(ready.novita_instance_id))
        assert machine.env("NOVITAI_INSTANCE_ID").reveal() == made.id

    face.tell(story)


def test_a_ready_request_is_as_good_as_its_fields(face):
    request = CreateInstanceRequest(**WANTED)

    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(request))
        assert (made.name, made.gpu_num, made.region) == (request.name, 2, "US-WEST-01")
        with pytest.raises(TypeError, match="not both"):
            await done(client.instances.create(request, gpu_num=1))
        with pytest.raises(TypeError, match="its fields by name, not dict"):
            await done(client.instances.create(dict(WANTED)))
        with pytest.raises(
            TypeError, match=r"unexpected arguments: gpu_count; it takes name, .*gpu_num"
        ):
            await done(client.instances.create(**WANTED, gpu_count=1))

    face.tell(story)


def test_bad_input_is_refused_before_any_network_call_with_every_problem(face):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            await done(client.instances.create(name="no spaces!", gpu_num=10, rootfs_size="5"))
        assert [one.field for one in caught.value.details] == [
            "name",
            "productName",
            "templateId",
            "gpuNum",
            "rootfsSize",
        ]
        assert await done(client.instances.list()) == ()

    face.tell(story)
    assert face.cloud.requests == ()


@pytest.mark.parametrize(
    ("template", "shown"), [(-1, -1), (0, 0), (0.5, 0.5), (math.nan, "NaN"), ("", ""), (" ", " ")]
)
def test_what_can_name_no_template_is_refused_before_any_network_call(face, template, shown):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(ValidationError, match="templateId") as caught:
            await done(client.instances.create(**{**WANTED, "template_id": template}))
        [told] = caught.value.details
        assert (told.field, told.value) == ("templateId", shown)

    face.tell(story)
    assert face.cloud.requests == ()


def test_an_argument_that_does_not_exist_is_named(face):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(TypeError, match="gpu_count"):
            await done(client.instances.create(**WANTED, gpu_count=1))

    face.tell(story)


def test_regions_are_a_setting(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**{**WANTED, "region": "AS-SGP-02"}))
        assert made.region == "AS-SGP-02"
        with pytest.raises(ValidationError, match="Region must be one of: AS-SGP-02"):
            await done(client.instances.create(**WANTED))

    face.tell(story, regions=["AS-SGP-02"])


def test_what_cannot_be_rented_is_refused_with_the_reason_for_each_candidate(face):
    sold_out = next(
        one["name"]
        for one in face.cloud.get("/products").json()["data"]
        if not one["availableDeploy"]
    )

    async def story(client: Any, done: Any) -> None:
        with pytest.raises(NoSuitableProduct) as caught:
            await done(client.instances.create(**{**WANTED, "product_name": sold_out}))
        assert caught.value.product_name == sold_out
        assert "sold out" in str(caught.value)
        with pytest.raises(NoSuitableProduct, match="has no spot price"):
            await done(client.instances.create(**{**WANTED, "product_name": "L40S 48GB"}))
        with pytest.raises(NoSuitableProduct, match="Abacus 3000") as caught:
            await done(client.instances.create(**{**WANTED, "product_name": "Abacus 3000"}))
        assert {"RTX 4090 24GB", "A100-SXM4-40GB"} <= set(caught.value.candidates)
        with pytest.raises(NotFound, match=r"'no-such-template'; catalog.templates\(\) shows"):
            await done(client.instances.create(**{**WANTED, "template_id": "no-such-template"}))
        assert await done(client.instances.list()) == ()
        assert (await done(client.jobs.stats())).total_jobs == 0

    face.tell(story)
    assert face.cloud.calls("instances.create") == 0


def test_an_instance_can_be_found_stopped_started_and_listed(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=10))

        found = await done(client.instances.get(ready.id))
        assert found == ready
        assert [one.id for one in await done(client.instances.list())] == [ready.id]

        stopped = await done(ready.stop(timeout=10))
        assert stopped.status is InstanceStatus.STOPPED
        assert (await done(stopped.stop())).status is InstanceStatus.STOPPED

        started = await done(stopped.start())
        assert started.status is InstanceStatus.STARTING
        again = await done(started.wait_until_ready(timeout=10))
        assert again.status is InstanceStatus.RUNNING
        assert again.ready_at > ready.ready_at

        with pytest.raises(InstanceStateError, match="cannot start while it is running"):
            await done(again.start())
        assert (await done(again.refresh())).status is InstanceStatus.RUNNING
        await done(client.instances.delete(again.id))
        assert await done(client.instances.list()) == ()
        assert (await done(client.instances.get(again.id))).status is InstanceStatus.TERMINATED

    face.tell(story)


def test_an_unknown_instance_is_named_in_the_error(face):
    async def story(client: Any, done: Any) -> None:
        for call in (client.instances.get, client.instances.delete, client.instances.stop):
            with pytest.raises(InstanceNotFound) as caught:
                await done(call("inst_1_nobody"))
            assert caught.value.instance_id == "inst_1_nobody"
        with pytest.raises(InstanceNotFound):
            await done(client.instances.delete("0f1e2d3c4b5a6978"))

    face.tell(story)


def test_the_id_of_an_instance_finds_its_machine_from_any_store(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(
            (await done(client.instances.create(**WANTED))).wait_until_ready(timeout=10)
        )
        with Novitai(
            api_key=face.cloud.api_key, base_url=face.cloud.base_url, store="memory"
        ) as elsewhere:
            found = elsewhere.instances.get(made.id)
            assert (found.id, found.managed) == (made.novita_instance_id, False)
            assert elsewhere.instances.stop(made.id).status is InstanceStatus.STOPPED
            assert elsewhere.instances.delete(made.id).status is InstanceStatus.TERMINATED
            with pytest.raises(InstanceNotFound, match="not in this store, not in this account"):
                elsewhere.instances.get("inst_1_nobody")
        assert (await done(made.refresh())).status is InstanceStatus.TERMINATED

    face.tell(story)


def test_what_is_waited_for_after_a_stop_is_not_called_running(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(
            (await done(client.instances.create(**WANTED))).wait_until_ready(timeout=10)
        )
        stopping = await done(made.stop(timeout=0))
        assert (stopping.status, stopping.phase) == (InstanceStatus.STOPPING, None)
        with pytest.raises(WaitTimedOut, match="last seen stopping"):
            await done(stopping.wait_until_ready(timeout=0))

    face.tell(story)


def test_machines_that_others_made_can_be_seen_and_removed(face):
    product = face.cloud.get("/products").json()["data"][0]["id"]
    body = {
        "name": "theirs", "productId": product, "gpuNum": 1, "rootfsSize": 60, "kind": "gpu",
        "imageUrl": "docker.io/library/ubuntu:24.04",
    }  # fmt: skip
    machine = face.cloud.post("/gpu/instance/create", body).json()["id"]

    async def story(client: Any, done: Any) -> None:
        assert await done(client.instances.list()) == ()
        (theirs,) = await done(client.instances.list(include_unmanaged=True))
        assert (theirs.id, theirs.name, theirs.managed) == (machine, "theirs", False)
        assert (await done(client.instances.get(machine))).id == machine
        gone = await done(theirs.delete(timeout=10))
        assert gone.status is InstanceStatus.TERMINATED
        assert await done(client.instances.list(include_unmanaged=True)) == ()

    face.tell(story)


def test_a_machine_removed_elsewhere_is_noticed(face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=10))
        await done(client.cloud.instances.delete(ready.novita_instance_id))
        gone = await done(ready.refresh())
        assert gone.status is InstanceStatus.TERMINATED
        assert await done(client.instances.list()) == ()

    face.tell(story)


def test_an_error_in_the_block_comes_out_as_it_was_raised(face):
    async def story(client: Any, done: Any) -> None:
        await done(client.instances.create(**WANTED))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        face.tell(story)
