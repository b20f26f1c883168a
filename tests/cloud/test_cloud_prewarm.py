"""Image prewarming and registry credentials, on every face of a client."""

from datetime import datetime, timezone
from typing import Any

import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    CreateInstance,
    CreatePrewarm,
    PrewarmList,
    PrewarmQuery,
    PrewarmState,
)
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import (
    InvalidState,
    NotFound,
    PermissionDenied,
    ServerFailed,
    TransportFailed,
    ValidationError,
)
from novitai_sdk.models import Secret

IMAGE = CreatePrewarm(image_url="ghcr.io/team/app:1", cluster_id="us-west-1", note="for monday")


def test_a_page_of_tasks_as_the_cloud_writes_it() -> None:
    found = cloud_converter.structure(
        {
            "data": [
                {
                    "id": "task-1",
                    "imageName": "app",
                    "imageUrl": "ghcr.io/team/app:1",
                    "repositoryAuth": "",
                    "clusterId": "us-west-1",
                    "clusterName": "US-WEST-01",
                    "products": [{"productId": "4090.16c62g", "productName": "RTX 4090 24GB"}],
                    "imageSize": "8000000000",
                    "createTime": "1767225600",
                    "completeTime": "0",
                    "state": "Failed",
                    "note": "",
                    "reason": ["no space", "no nodes"],
                }
            ],
            "total": "1",
        },
        PrewarmList,
    )
    (task,) = found.items
    assert found.total == 1
    assert (task.image_size, task.complete_time) == (8_000_000_000, None)
    assert task.create_time == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert (task.state, task.reason) == (PrewarmState.FAILED, ("no space", "no nodes"))
    assert task.products[0].product_name == "RTX 4090 24GB"


def test_an_image_is_brought_to_nodes_and_forgotten(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        images = cloud.image_prewarm
        before = await done(images.quota())
        assert (before.total, before.limit, before.per_image_size) == (0, 5, 100)
        task = await done(images.create(IMAGE))
        (found,) = await done(images.list(name="MONDAY"))
        assert (found.id, found.image_name, found.state) == (task, "app", PrewarmState.RUNNING)
        told.clock.advance(1)
        (found,) = await done(images.list(state=PrewarmState.SUCCEEDED, cluster_id="us-west-1"))
        assert found.image_size == 8_000_000_000
        assert found.complete_time > found.create_time
        await done(images.edit(task, note="for tuesday"))
        page = await done(images.list_page(PrewarmQuery(page=1, page_size=10, name="tuesday")))
        assert [one.id for one in page.items] == [task]
        await done(images.delete([task, task]))
        assert await done(images.list()) == ()
        with pytest.raises(NotFound):
            await done(images.delete([task]))

    told.tell(story)


def test_there_may_be_no_more_tasks_than_the_quota_says(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        for _ in range(5):
            await done(cloud.image_prewarm.create(IMAGE))
        assert len(await done(cloud.image_prewarm.list(page_size=2))) == 5
        with pytest.raises(PermissionDenied):
            await done(cloud.image_prewarm.create(IMAGE))

    told.tell(story)


def test_a_create_that_may_have_happened_is_not_sent_again(told: Any) -> None:
    told.build(quirks=Quirks(first_prewarm_fails=True))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(ServerFailed) as caught:
            await done(cloud.image_prewarm.create(IMAGE))
        assert (caught.value.attempts, caught.value.resend_safe) == (1, False)
        await done(cloud.image_prewarm.create(IMAGE))
        told.emulator.order(faults.no_answer("registries.save"))
        with pytest.raises(TransportFailed) as lost:
            await done(cloud.registries.save("ghcr.io", username="u", password=Secret("p")))
        assert (lost.value.attempts, lost.value.resend_safe) == (1, False)
        assert [one.name for one in await done(cloud.registries.list())].count("ghcr.io") == 1

    told.tell(story)


def test_a_credential_is_kept_found_by_name_and_removed(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        await done(cloud.registries.save("ghcr.io", username="robot", password=Secret("hush-hush")))
        (found,) = [one for one in await done(cloud.registries.list()) if one.name == "ghcr.io"]
        assert (found.username, found.password.reveal()) == ("robot", "hush-hush")
        assert "hush" not in repr(found)
        using = CreatePrewarm(
            image_url="ghcr.io/a:1", cluster_id="us-west-1", repository_auth=found.id
        )
        task = await done(cloud.image_prewarm.create(using))
        with pytest.raises(InvalidState):
            await done(cloud.registries.delete(found.id))
        await done(cloud.image_prewarm.delete([task]))
        await done(cloud.registries.delete(found.id))
        with pytest.raises(NotFound):
            await done(cloud.registries.delete(found.id))

    told.tell(story)


def test_what_breaks_a_limit_is_refused_before_it_is_sent(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            await done(
                cloud.image_prewarm.create(
                    CreatePrewarm(image_url="", cluster_id="", product_ids=("", "p"))
                )
            )
        assert [one.field for one in caught.value.details] == [
            "imageUrl",
            "clusterId",
            "productIds[0]",
        ]
        with pytest.raises(ValidationError, match="at least one"):
            await done(cloud.image_prewarm.delete([]))
        with pytest.raises(ValidationError) as caught:
            await done(
                cloud.registries.save("", username="u" * 512, password=Secret("s3cret" * 200))
            )
        assert [one.field for one in caught.value.details] == ["name", "username", "password"]
        assert "s3cret" not in str(caught.value)
        assert told.emulator.requests == ()

    told.tell(story)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_emulator_refuses_it_refuses_in_the_clouds_words(told: Any, seed: int) -> None:
    told.build(seed=seed)
    for path, body, reason in (
        ("/image/prewarm", {"imageUrl": "a/b:1"}, "VALIDATOR_PARAM"),
        ("/image/prewarm", {"imageUrl": "a/b:1", "clusterId": "none"}, "RESOURCE_NOT_FOUND"),
        (
            "/image/prewarm",
            {"imageUrl": "a/b:1", "clusterId": "us-west-1", "productIds": ["none"]},
            "RESOURCE_NOT_FOUND",
        ),
        ("/image/prewarm/delete", {"ids": []}, "VALIDATOR_PARAM"),
        ("/repository/auth/save", {"name": "a", "username": "b"}, "VALIDATOR_PARAM"),
    ):
        answer = told.emulator.post(path, body)
        assert (answer.status, answer.json()["reason"]) == (400, reason)


@pytest.mark.parametrize("turned", [True, False])
def test_a_credential_an_instance_uses_is_not_removed(told: Any, turned: bool) -> None:
    told.build(quirks=Quirks(registry_save_says_nothing=turned, passwords_masked=turned))

    async def story(cloud: Any, done: Any) -> None:
        saved = cloud.registries.save("hub.example.com", username="u", password=Secret("hush-hush"))
        assert await done(saved) is None
        listed = await done(cloud.registries.list())
        (found,) = [one for one in listed if one.name == "hub.example.com"]
        assert (found.password.reveal() == "hush-hush") is not turned
        body = CreateInstance(
            product_id="4090.16c62g",
            image_url="hub.example.com/a/b:1",
            image_auth_id=found.id,
            gpu_num=1,
            rootfs_size=60,
        )
        machine = await done(cloud.instances.create(body))
        with pytest.raises(InvalidState):
            await done(cloud.registries.delete(found.id))
        await done(cloud.instances.delete(machine.id))
        told.clock.advance(60)
        assert await done(cloud.registries.delete(found.id)) is None

    told.tell(story)
