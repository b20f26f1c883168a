"""What can be done to an instance beyond starting and stopping it, on every face of a client."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    CloudStatus,
    EnvVar,
    Instance,
    Migrated,
    NetworkVolume,
    NetworkVolumeMount,
    Port,
    PortType,
    UpgradeInstance,
)
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import (
    InvalidState,
    NoCapacity,
    NotFound,
    RequestRefused,
    ServerFailed,
    TransportFailed,
    ValidationError,
)

EVERY_CHANGE = {
    "restart": lambda instances: instances.restart("nobody"),
    "edit": lambda instances: instances.edit("nobody", expand_root_disk=1),
    "upgrade": lambda instances: instances.upgrade(
        UpgradeInstance(
            instance_id="nobody",
            image_url="a/b:2",
            envs=(),
            command="",
            entrypoint="",
            save=True,
            network_volume=NetworkVolume(),
        )
    ),
    "migrate": lambda instances: instances.migrate("nobody"),
    "renew": lambda instances: instances.renew("nobody", 1),
    "to_monthly": lambda instances: instances.to_monthly("nobody", 1),
    "set_auto_renew": lambda instances: instances.set_auto_renew("nobody", auto_renew=True),
    "set_auto_migrate": lambda instances: instances.set_auto_migrate(
        "nobody", auto_migrate_open=True, auto_migrate_system_disk=True
    ),
}
IDEMPOTENT = {"set_auto_renew", "set_auto_migrate"}


@pytest.mark.parametrize("verb", EVERY_CHANGE)
def test_nothing_can_be_done_to_an_unknown_instance(told: Any, verb: str) -> None:
    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(NotFound) as caught:
            await done(EVERY_CHANGE[verb](cloud.instances))
        assert caught.value.operation == f"instances.{verb}"

    told.tell(story)


@pytest.mark.parametrize("verb", EVERY_CHANGE)
def test_only_what_is_the_same_twice_may_be_sent_twice(told: Any, verb: str) -> None:
    told.emulator.order(faults.dropped(f"instances.{verb}"))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(TransportFailed) as caught:
            await done(EVERY_CHANGE[verb](cloud.instances))
        assert caught.value.resend_safe is (verb in IDEMPOTENT)

    told.tell(story)


def test_a_restart_leads_back_to_running(told: Any) -> None:
    made = told.rented()

    async def story(cloud: Any, done: Any) -> None:
        assert await done(cloud.instances.restart(made)) is None
        assert (await done(cloud.instances.get(made))).status is CloudStatus.TO_RESTART
        with pytest.raises(InvalidState):
            await done(cloud.instances.restart(made))
        told.clock.advance(1)
        assert (await done(cloud.instances.get(made))).status is CloudStatus.RUNNING

    told.tell(story)


def test_an_edit_replaces_the_ports_and_adds_to_the_disk(told: Any) -> None:
    made = told.rented(ports="80/http")

    async def story(cloud: Any, done: Any) -> None:
        await done(
            cloud.instances.edit(made, ports=[Port(port=8888), Port(port=22, type=PortType.TCP)])
        )
        found = await done(cloud.instances.get(made))
        assert [(one.port, one.type) for one in found.port_mappings] == [
            (8888, PortType.HTTP),
            (22, PortType.TCP),
        ]
        assert found.rootfs_size == 60
        for _ in range(2):
            await done(cloud.instances.edit(made, expand_root_disk=15))
        found = await done(cloud.instances.get(made))
        assert found.rootfs_size == 90
        assert len(found.port_mappings) == 2
        await done(cloud.instances.edit(made, ports=()))
        found = await done(cloud.instances.get(made))
        assert (found.status, found.port_mappings) == (CloudStatus.RUNNING, ())
        with pytest.raises(RequestRefused, match="of at most 6144"):
            await done(cloud.instances.edit(made, expand_root_disk=6144))

    told.tell(story)


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        ({"imageUrl": {}}, "imageUrl"),
        ({"command": ["serve"]}, "command"),
        ({"volumeMounts": "data"}, "volumeMounts"),
        ({"volumeMounts": [{"type": "network", "id": "s", "mountPath": {}}]}, "mountPath"),
    ],
)
def test_what_could_not_be_read_is_not_taken_away_by_an_upgrade(
    odd: dict[str, Any], named: str
) -> None:
    found = cloud_converter.structure({"id": "i", "imageUrl": "a/b:1", **odd}, Instance)
    with pytest.raises(ValueError, match=f"record of i cannot be copied: {named} came"):
        UpgradeInstance.like(found, save=True)


def test_an_upgrade_replaces_what_it_names_and_keeps_the_hardware(told: Any) -> None:
    made = told.rented(envs=[{"key": "MODE", "value": "fast"}], command="serve")

    async def story(cloud: Any, done: Any) -> None:
        storage = await done(
            cloud.network_storages.create("us-west-1", storage_name="data", storage_size=50)
        )
        before = await done(cloud.instances.get(made))
        upgrade = attrs.evolve(
            UpgradeInstance.like(before, save=True),
            image_url="a/b:2",
            envs=(*before.envs, EnvVar(key="EXTRA", value="1")),
            network_volume=NetworkVolume(volume_mounts=(NetworkVolumeMount(id=storage),)),
        )
        assert await done(cloud.instances.upgrade(upgrade)) is None
        assert (await done(cloud.instances.get(made))).status is CloudStatus.TO_RESET
        told.clock.advance(1)
        after = await done(cloud.instances.get(made))
        assert after.status is CloudStatus.RUNNING
        assert (after.image_url, after.command) == ("a/b:2", "serve")
        assert {one.key: one.value.reveal() for one in after.envs} == {"MODE": "fast", "EXTRA": "1"}
        assert [(one.id, one.size, one.mount_path) for one in after.volume_mounts] == [
            (storage, 50, "/network")
        ]
        # Listed, the size is a text.
        (listed,) = await done(cloud.instances.list())
        assert listed.volume_mounts == after.volume_mounts
        assert (after.product_id, after.gpu_num, after.id) == (before.product_id, 1, made)
        again = UpgradeInstance.like(after, save=False)
        assert again.network_volume == upgrade.network_volume
        await done(cloud.instances.upgrade(attrs.evolve(again, network_volume=NetworkVolume())))
        far = await done(
            cloud.network_storages.create("cn-hongkong-1", storage_name="far", storage_size=10)
        )
        mounts = NetworkVolume(volume_mounts=(NetworkVolumeMount(id=far),))
        with pytest.raises(RequestRefused, match="in the instance's cluster"):
            await done(cloud.instances.upgrade(attrs.evolve(again, network_volume=mounts)))
        assert (await done(cloud.instances.get(made))).volume_mounts == ()

    told.tell(story)


def test_an_upgrade_to_an_image_that_cannot_be_pulled_fails_the_instance(told: Any) -> None:
    made = told.rented()

    async def story(cloud: Any, done: Any) -> None:
        like = UpgradeInstance.like(await done(cloud.instances.get(made)), save=True)
        private = attrs.evolve(like, image_url="registry.example.com/team/app:1")
        await done(cloud.instances.upgrade(private))
        told.clock.advance(1)
        failed = await done(cloud.instances.get(made))
        assert failed.status is CloudStatus.EXITED
        assert "unauthorized" in failed.failure
        (credential,) = await done(cloud.registries.list())
        await done(cloud.instances.upgrade(attrs.evolve(private, image_auth_id=credential.id)))
        told.clock.advance(1)
        found = await done(cloud.instances.get(made))
        assert (found.status, found.failed) == (CloudStatus.RUNNING, False)

    told.tell(story)


def test_a_migration_is_followed_by_its_job(told: Any) -> None:
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        assert await done(cloud.instances.migrate(made)) == Migrated()
        moving = await done(cloud.instances.get(made))
        assert moving.status is CloudStatus.MIGRATING
        (job,) = await done(cloud.jobs.list())
        assert (job.type, job.instance_id) == ("instanceMigrate", made)
        assert [(one.id, one.type) for one in moving.jobs] == [(job.id, "instanceMigrate")]
        told.clock.advance(1)
        moved = await done(cloud.instances.get(made))
        assert (moved.status, moved.jobs) == (CloudStatus.EXITED, ())
        (job,) = await done(cloud.jobs.list())
        assert job.phase == "success"
        assert job.phase.final

    told.tell(story)


def test_a_migration_needs_room_and_an_instance_that_stands_still(told: Any) -> None:
    running, stopped = told.rented(), told.stopped()
    told.emulator.set_stock("4090.16c62g", free=0)

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(NoCapacity):
            await done(cloud.instances.migrate(stopped))
        with pytest.raises(InvalidState):
            await done(cloud.instances.migrate(running))

    told.tell(story)


def test_a_migration_may_say_that_there_is_a_new_instance(told: Any) -> None:
    made = told.stopped()
    told.emulator.order(
        faults.garbled_reply(
            "instances.migrate", body=b'{"message": "ok", "newInstanceId": "other"}'
        ),
        faults.garbled_reply("instances.migrate", body=b"ok"),
        faults.garbled_reply("instances.migrate", body=b'{"code": 400, "reason": "NODE_STATUS"}'),
    )

    async def story(cloud: Any, done: Any) -> None:
        moved = await done(cloud.instances.migrate(made))
        assert (moved.new_instance_id, moved.message) == ("other", "ok")
        told.clock.advance(1)
        assert await done(cloud.instances.migrate(made)) == Migrated()
        told.clock.advance(1)
        with pytest.raises(NoCapacity) as caught:
            await done(cloud.instances.migrate(made))
        assert caught.value.reason == "NODE_STATUS"

    told.tell(story)


def test_a_monthly_instance_is_renewed_and_renews_itself(told: Any) -> None:
    made = told.rented(month=1, billingMode="monthly")
    by_the_hour = told.rented()

    async def story(cloud: Any, done: Any) -> None:
        ends = (await done(cloud.instances.get(made))).end_time
        assert await done(cloud.instances.renew(made, 2)) is None
        assert (await done(cloud.instances.get(made))).end_time == ends + timedelta(days=60)
        with pytest.raises(RequestRefused) as caught:
            await done(cloud.instances.renew(by_the_hour, 1))
        assert caught.value.reason == "UNSUPPORTED_BILLING_MODE"
        with pytest.raises(RequestRefused):
            await done(cloud.instances.set_auto_renew([made, by_the_hour], auto_renew=True))
        await done(cloud.instances.set_auto_renew(made, auto_renew=True, auto_renew_month=3))
        told.clock.advance(91 * 24 * 3600)
        renewed = await done(cloud.instances.get(made))
        assert renewed.end_time == ends + timedelta(days=60 + 90)
        await done(cloud.instances.set_auto_renew([made], auto_renew=False))
        told.clock.advance(91 * 24 * 3600)
        assert (await done(cloud.instances.get(made))).end_time == renewed.end_time

    told.tell(story)


def test_a_monthly_instance_that_has_expired_is_frozen_until_it_is_renewed(told: Any) -> None:
    made = told.rented(month=1, billingMode="monthly")
    told.clock.advance(31 * 24 * 3600)

    async def story(cloud: Any, done: Any) -> None:
        assert (await done(cloud.instances.get(made))).status is CloudStatus.FREEZING
        with pytest.raises(InvalidState):
            await done(cloud.instances.start(made))
        await done(cloud.instances.renew(made, 1))
        assert (await done(cloud.instances.get(made))).status is CloudStatus.EXITED
        await done(cloud.instances.start(made))
        told.clock.advance(31 * 24 * 3600)
        assert (await done(cloud.instances.get(made))).status is CloudStatus.FREEZING
        await done(cloud.instances.delete(made))

    told.tell(story)
    assert told.emulator.instances[0].billed_seconds == pytest.approx(59 * 24 * 3600, abs=86400)


def test_an_instance_paid_by_the_hour_becomes_monthly_and_owes_what_it_cost(told: Any) -> None:
    made = told.rented()
    unoffered = told.rented(productId="4090.16c96g.v2")
    told.clock.advance(3600)

    async def story(cloud: Any, done: Any) -> None:
        await done(cloud.instances.to_monthly(made, 1))
        found = await done(cloud.instances.get(made))
        assert found.billing_mode == "monthly"
        assert found.end_time is not None
        for again in (made, unoffered):
            with pytest.raises(RequestRefused) as caught:
                await done(cloud.instances.to_monthly(again, 1))
            assert caught.value.reason == "UNSUPPORTED_BILLING_MODE"

    told.tell(story)
    before = told.emulator.instances[0].billed_usd
    assert 0.35 <= float(before) < 0.36
    told.clock.advance(3600)
    # 210 USD for a month of 720 hours.
    assert float(told.emulator.instances[0].billed_usd - before) == pytest.approx(
        210 / 720, rel=1e-3
    )


def test_an_instance_that_is_being_created_cannot_be_renewed(told: Any) -> None:
    answer = told.emulator.post(
        "/gpu/instance/create",
        {
            "productId": "4090.16c62g",
            "gpuNum": 1,
            "rootfsSize": 60,
            "imageUrl": "a/b:1",
            "month": 1,
        },
    )

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(InvalidState) as caught:
            await done(cloud.instances.renew(answer.json()["id"], 1))
        assert caught.value.reason == "CREATING_INSTANCE_NOT_SUPPORT_RENEWAL"

    told.tell(story)


def test_auto_migration_moves_an_instance_off_a_failed_node(told: Any) -> None:
    kept, lost = told.rented(), told.rented()

    async def story(cloud: Any, done: Any) -> None:
        await done(
            cloud.instances.set_auto_migrate(
                kept, auto_migrate_open=True, auto_migrate_system_disk=False
            )
        )
        told.emulator.fail_node(kept)
        told.emulator.fail_node(lost)
        assert (await done(cloud.instances.get(kept))).status is CloudStatus.MIGRATING
        (job,) = await done(cloud.jobs.list(type="autoInstanceMigrate"))
        assert job.instance_id == kept
        failed = await done(cloud.instances.get(lost))
        assert (failed.status, failed.failed) == (CloudStatus.EXITED, True)
        told.clock.advance(1)
        assert (await done(cloud.instances.get(kept))).status is CloudStatus.RUNNING

    told.tell(story)


def test_what_breaks_a_limit_is_not_sent_and_every_problem_is_named(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        instances = cloud.instances
        with pytest.raises(ValidationError, match="nothing to change"):
            await done(instances.edit("i"))
        with pytest.raises(ValidationError) as caught:
            await done(
                instances.edit("", ports=[Port(port=2222), Port(port=0)], expand_root_disk=-1)
            )
        assert [one.field for one in caught.value.details] == [
            "instanceId",
            "ports[0].port",
            "ports[1].port",
            "expandRootDisk",
        ]
        for call in (
            lambda: instances.renew("i", 0),
            lambda: instances.to_monthly("", 1),
            lambda: instances.set_auto_renew([], auto_renew=True),
            lambda: instances.set_auto_renew("i", auto_renew=True, auto_renew_month=13),
            lambda: instances.set_auto_migrate(
                "", auto_migrate_open=True, auto_migrate_system_disk=True
            ),
            lambda: instances.restart(""),
            lambda: instances.migrate("i" * 256),
        ):
            with pytest.raises(ValidationError):
                await done(call())

    told.tell(story)
    assert not told.emulator.requests


def test_a_server_fault_after_a_renewal_says_that_it_may_have_been_paid(told: Any) -> None:
    made = told.rented(month=1)
    told.emulator.order(faults.server_error("instances.renew", after_effect=True))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(ServerFailed) as caught:
            await done(cloud.instances.renew(made, 1))
        assert caught.value.resend_safe is False
        assert caught.value.attempts == 1

    told.tell(story)


@pytest.mark.parametrize("runs", [True, False])
def test_where_a_migration_ends_is_read_and_not_assumed(told: Any, runs: bool) -> None:
    told.build(quirks=Quirks(migrated_runs=runs))
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        await done(cloud.instances.migrate(made))
        told.clock.advance(1)
        found = await done(cloud.instances.get(made))
        assert found.status is (CloudStatus.RUNNING if runs else CloudStatus.EXITED)

    told.tell(story)
