"""Templates that are kept, changed and removed, on every face of a client."""

from typing import Any

import attrs
import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    Channel,
    EnvVar,
    NewTemplate,
    PortType,
    TemplatePorts,
    TemplateToKeep,
    TemplateTool,
    TemplateVolume,
)
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import NotFound, RequestRefused, TransportFailed, ValidationError
from novitai_sdk.models import Secret

MINE = NewTemplate(
    name="training",
    image="ghcr.io/team/app:1",
    rootfs_size=80,
    image_auth=Secret("robot:hush-hush"),
    start_command="python -m app",
    ports=(
        TemplatePorts(type=PortType.HTTP, ports=(8888,)),
        TemplatePorts(type=PortType.TCP, ports=(22,)),
    ),
    envs=(EnvVar(key="TOKEN", value=Secret("hush-too")),),
    volumes=(TemplateVolume(type="local", size=30, mount_path="/data"),),
)


def test_what_is_empty_is_sent_as_empty() -> None:
    least = NewTemplate(name="t", image="a/b:1", rootfs_size=60)
    assert cloud_converter.unstructure(TemplateToKeep(template=least)) == {
        "template": {
            "name": "t",
            "image": "a/b:1",
            "rootfsSize": 60,
            "readme": "",
            "type": "instance",
            "channel": "private",
            "startCommand": "",
            "entrypoint": "",
            "ports": [],
            "envs": [],
            "volumes": [],
            "tools": [],
        }
    }


def test_a_template_is_kept_changed_and_removed(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        made = await done(cloud.templates.create(MINE))
        found = await done(cloud.templates.get(made))
        assert (found.name, found.channel, found.rootfs_size) == ("training", Channel.PRIVATE, 80)
        assert [str(port) for port in found.port_list] == ["8888/http", "22/tcp"]
        assert found.image_auth.reveal() == "robot:hush-hush"
        assert found.volumes[0].mount_path == "/data"
        assert "hush" not in repr(found)
        assert attrs.evolve(NewTemplate.like(found), id=None) == MINE
        # Found at once, and missing from the list for a while.
        assert made not in {one.id for one in await done(cloud.templates.list())}
        told.clock.advance(10)
        assert made in {one.id for one in await done(cloud.templates.list(channel="private"))}
        bigger = attrs.evolve(NewTemplate.like(found), rootfs_size=120)
        await done(cloud.templates.update(made, bigger))
        assert (await done(cloud.templates.get(made))).rootfs_size == 120
        await done(cloud.templates.delete(made))
        for gone in (
            cloud.templates.get,
            cloud.templates.delete,
            lambda it: cloud.templates.update(it, bigger),
        ):
            with pytest.raises(NotFound):
                await done(gone(made))

    told.tell(story)


def test_a_template_may_be_listed_at_once(told: Any) -> None:
    told.build(quirks=Quirks(new_templates_listed_late=False))

    async def story(cloud: Any, done: Any) -> None:
        made = await done(cloud.templates.create(MINE))
        assert made in {one.id for one in await done(cloud.templates.list())}

    told.tell(story)


def test_templates_of_others_are_not_ours_to_change(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        (official, *_) = await done(cloud.templates.list(channel="official"))
        with pytest.raises(NotFound):
            await done(cloud.templates.update(official.id, MINE))
        with pytest.raises(NotFound):
            await done(cloud.templates.delete(official.id))
        told.emulator.open_account("other", name="second")
        made = await done(cloud.templates.create(MINE))
        headers = {"authorization": "Bearer other"}
        path = f"/gpu-instance/openapi/v1/template?templateId={made}"
        assert told.emulator.handle("GET", path, headers, b"")[0] == 400

    told.tell(story)


def test_a_create_whose_answer_was_lost_is_not_sent_again(told: Any) -> None:
    told.emulator.order(faults.no_answer("templates.create"))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(TransportFailed) as caught:
            await done(cloud.templates.create(MINE))
        assert (caught.value.attempts, caught.value.resend_safe) == (1, False)
        assert told.emulator.calls("templates.create") == 1

    told.tell(story)


def test_what_breaks_a_limit_is_refused_before_it_is_sent(told: Any) -> None:
    wrong = NewTemplate(
        name="",
        image="x" * 501,
        rootfs_size=0,
        readme="x" * 102_401,
        channel=Channel.OFFICIAL,
        ports=(TemplatePorts(ports=(2222, *range(9000, 9011))),),
        envs=(EnvVar(key="", value=Secret("v")),),
    )

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            await done(cloud.templates.create(wrong))
        assert [one.field for one in caught.value.details] == [
            "template.name",
            "template.image",
            "template.rootfsSize",
            "template.readme",
            "template.channel",
            "template.ports[0].type",
            "template.ports[0].ports",
            "template.ports[0].ports[0]",
            "template.envs[0].key",
        ]
        assert told.emulator.requests == ()

    told.tell(story)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_templates_keep_their_ids_tools_and_times(told: Any, elsewhere: bool) -> None:
    told.build(quirks=Quirks(template_times_elsewhere=elsewhere))
    tool = TemplateTool(name="Jupyter", describe="notes", port=9999, type=PortType.TCP)

    async def story(cloud: Any, done: Any) -> None:
        templates = cloud.templates
        first = await done(templates.create(MINE))
        told.clock.advance(100)
        second = await done(templates.create(attrs.evolve(MINE, name="second", tools=(tool,))))
        await done(templates.delete(first))
        third = await done(templates.create(MINE))
        assert len({first, second, third}) == 3
        found = await done(templates.get(second))
        assert (found.name, found.tools) == ("second", (tool,))
        await done(templates.update(second, NewTemplate.like(found)))
        again = await done(templates.get(second))
        assert (again.tools, again.created_at) == ((tool,), found.created_at)
        assert found.created_at is not None

    told.tell(story)


def test_what_is_no_port_is_refused_by_the_emulator(told: Any) -> None:
    body = {"name": "n", "type": "instance", "channel": "private", "image": "a", "rootfsSize": 1}
    groups = [{"type": "tcp", "ports": ["80", 0, 65536, True, 80]}]
    answer = told.emulator.post("/template/create", {"template": {**body, "ports": groups}})
    assert answer.status == 400
    where = "template.ports[0].ports"
    assert set(answer.json()["metadata"]) == {f"{where}[{place}]" for place in range(4)}


def test_a_list_that_wants_its_filters_gets_them(told: Any) -> None:
    told.build(quirks=Quirks(template_filters_required=True))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(RequestRefused, match="channel"):
            await done(cloud.templates.list())
        assert await done(cloud.templates.list(channel="official", is_my_community=False))

    told.tell(story)
