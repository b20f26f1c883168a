"""Planted secrets, and a search for them wherever a person or a log may look.

What is searched: log records with all their attributes, the repr, str, format, HTML and pickle of every value and
error, and every traceback as pytest shows it, with the locals of each frame but those of this file.
"""

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import attrs
import pytest
from faces import FACES, WANTED, Face, Years
from receivers import Receiver

from novitai_sdk import AsyncNovitai, Novitai, RetryPolicy, SettingsError
from novitai_sdk.cloud import (
    CreateEndpoint,
    CreateInstance,
    EndpointHealth,
    EndpointImage,
    EndpointPolicy,
    EndpointPort,
    EndpointProduct,
    EnvVar,
    NewTemplate,
    PolicyType,
    WorkerConfig,
)
from novitai_sdk.emulator import DEFAULT_STOCK, Emulator, faults
from novitai_sdk.errors import CallError, WaitTimedOut
from novitai_sdk.models import Secret

API_KEY = "canary-api-key-0001"
ENV = "canary-env-value-0002"
IMAGE_AUTH = "canary-user:canary-image-auth-0003"
WEBHOOK = "whsec_" + base64.b64encode(b"canary-webhook-secret-0004-0004").decode()
WEBHOOK_HEADER = "canary-webhook-header-0005"
REGISTRY = "canary-registry-password-0006"
PLANTED = (
    API_KEY, ENV, IMAGE_AUTH, "canary-image-auth-0003", WEBHOOK, WEBHOOK_HEADER, REGISTRY,
)  # fmt: skip


class Search:
    """Everything that was shown, and what must not be in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.secrets = set(PLANTED)

    def value(self, what: str, value: object) -> None:
        ways: dict[str, Callable[[], str]] = {
            "repr": lambda: repr(value),
            "str": lambda: str(value),
            "format": lambda: f"{value}",
            "percent": lambda: f"{value!s} {value!r}",
            "html": lambda: getattr(value, "_repr_html_", str)(),
            "pickle": lambda: pickle.dumps(value).decode("latin-1"),
        }
        for way, show in ways.items():
            try:
                self.shown.append((f"{way} of {what}", show()))
            except TypeError as refused:  # some cannot be pickled, and say why
                self.shown.append((f"{way} of {what}, refused", str(refused)))

    def error(self, what: str, error: BaseException) -> None:
        self.value(what, error)
        report: traceback.TracebackException | None = traceback.TracebackException.from_exception(
            error, capture_locals=True
        )
        while report is not None:
            for frame in report.stack:
                if frame.filename != __file__:
                    self.shown.append((f"locals of {frame.name} in {what}", str(frame.locals)))
            report = report.__cause__ or report.__context__
        self.shown.append((f"traceback of {what}", "".join(traceback.format_exception(error))))

    def log(self, records: Iterable[logging.LogRecord]) -> None:
        for record in records:
            self.shown.append((f"log of {record.name}", record.getMessage()))
            self.shown.append((f"log record of {record.name}", repr(vars(record))))

    def assert_nothing_found(self) -> None:
        found = [
            (where, secret[:12])
            for where, text in self.shown
            for secret in self.secrets
            if secret in text
        ]
        assert not found, found


@pytest.fixture
def search(caplog: pytest.LogCaptureFixture) -> Search:
    caplog.set_level(logging.DEBUG)
    return Search()


@pytest.fixture
def cloud() -> Any:
    with Emulator(life=0.05, api_key=API_KEY) as emulator:
        yield emulator


@pytest.mark.parametrize("face", FACES)
def test_no_secret_is_shown_in_a_whole_life(
    face: str, cloud: Emulator, search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver:

        async def story(client: Any, done: Any) -> None:
            search.value("the client", client)
            search.value("the settings", client.settings)
            search.value("the cloud", client.cloud)
            body = CreateInstance(
                product_id="4090.16c62g",
                image_url="a/b:1",
                gpu_num=1,
                rootfs_size=60,
                image_auth=Secret(IMAGE_AUTH),
                envs=(EnvVar(key="TOKEN", value=Secret(ENV)),),
            )
            search.value("a create", body)
            made = await done(client.cloud.instances.create(body))
            mine = await done(client.instances.create(**WANTED, webhook_url=receiver.url))
            search.value("an instance on its way", mine)
            mine = await done(mine.wait_until_ready(timeout=30))
            search.value("an instance", mine)
            for machine in await done(client.cloud.instances.list()):
                found = await done(client.cloud.instances.get(machine.id))
                search.value("a machine", found)
                search.secrets |= passwords(found)
            search.value("the machines", await done(client.cloud.instances.list()))
            search.value("the credentials", await done(client.cloud.registries.list()))
            search.value("the templates", await done(client.cloud.templates.list()))
            search.value("the jobs", await done(client.jobs.list()))
            await done(
                client.webhooks.send(
                    {"hello": 1}, receiver.url, headers={"x-token": WEBHOOK_HEADER}
                )
            )
            receiver.got.get(timeout=10)
            search.value("health", await done(client.health_report()))
            for ordered, call in (
                (faults.server_error(times=None), client.cloud.instances.list),
                (faults.dropped(times=None), client.cloud.instances.list),
                (faults.truncated_reply(times=None), lambda: client.cloud.instances.get(made.id)),
                (faults.html_reply(times=None), lambda: client.cloud.instances.create(body)),
                (
                    faults.refused(message=f"your key {API_KEY} is tired", times=None),
                    client.cloud.instances.list,
                ),
                (
                    faults.garbled_reply(body=json.dumps({"instances": 5}).encode(), times=None),
                    client.cloud.instances.list,
                ),
                *(
                    (faults.garbled_reply(body=said, times=None), call)
                    for said, call in (
                        (f'{{"error": "no key {API_KEY}"}}'.encode(), client.cloud.instances.list),
                        (f"<p>{API_KEY}".encode(), client.cloud.instances.list),
                        (
                            f'{{"error": "not {ENV}, {IMAGE_AUTH}"}}'.encode(),
                            lambda: client.cloud.instances.create(body),
                        ),
                    )
                ),
            ):
                cloud.order(ordered)
                try:
                    await done(call())
                except Exception as error:  # noqa: BLE001 - whatever it is, it is searched
                    search.error(str(ordered.deed), error)
                else:
                    raise AssertionError(ordered)
                cloud.clear_faults()
            await done(client.instances.delete(mine.id))

        Face(face, cloud).tell(
            story,
            webhook_secrets=WEBHOOK,
            webhook_allow_http=True,
            webhook_allow_networks=("127.0.0.0/8",),
            timeout=3,
            circuit_breaker=None,
            retry=RetryPolicy(attempts=2, first_wait=0.01),
        )
    search.log(caplog.records)
    assert len(caplog.records) > 20
    assert len(search.secrets) > len(PLANTED)
    search.assert_nothing_found()


ENDPOINT = CreateEndpoint(
    app_name="canary",
    worker_config=WorkerConfig(min_num=1, max_num=3, free_timeout=60, max_concurrent=4, gpu_num=1),
    ports=(EndpointPort(port="8000"),),
    policy=EndpointPolicy(type=PolicyType.QUEUE, value=30),
    image=EndpointImage(image="ghcr.io/team/chat:1"),
    products=(EndpointProduct(id="4090.16c62g"),),
    rootfs_size=100,
    volume_mounts=(),
    envs=(EnvVar(key="TOKEN", value=Secret(ENV)),),
    healthy=EndpointHealth(path="/health"),
)
TEMPLATE = NewTemplate(
    name="canary",
    image="a/b:1",
    image_auth=Secret(IMAGE_AUTH),
    rootfs_size=60,
    envs=(EnvVar(key="TOKEN", value=Secret(ENV)),),
)


@pytest.mark.parametrize("face", FACES)
def test_no_secret_is_shown_by_what_keeps_secrets(
    face: str, cloud: Emulator, search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(client: Any, done: Any) -> None:
        numbers = count()
        calls = {
            "registries.save": (
                lambda: client.cloud.registries.save(
                    "ghcr.io", username="me", password=Secret(REGISTRY)
                ),
                REGISTRY,
            ),
            "endpoints.create": (
                lambda: client.cloud.endpoints.create(
                    attrs.evolve(ENDPOINT, app_name=f"canary-{next(numbers)}")
                ),
                ENV,
            ),
            "templates.create": (
                lambda: client.cloud.templates.create(TEMPLATE),
                f"{ENV} {IMAGE_AUTH}",
            ),
        }
        search.value("an endpoint to create", ENDPOINT)
        search.value("a template to create", TEMPLATE)
        for operation, (call, secret) in calls.items():
            for fault in (
                faults.refused(operation, message=f"not with {secret}"),
                faults.no_answer(operation),
                faults.slow(operation, seconds=0.4),
                None,
            ):
                if fault is not None:
                    cloud.order(fault)
                try:
                    search.value(f"the answer of {operation}", await done(call()))
                except CallError as error:
                    search.error(f"{operation}, which failed", error)
                    assert fault is not None
                cloud.clear_faults()
        search.value("the credentials", await done(client.cloud.registries.list()))
        search.value("the endpoints", await done(client.cloud.endpoints.list()))
        search.value("the templates", await done(client.cloud.templates.list()))

    Face(face, cloud).tell(story, timeout=0.2, circuit_breaker=None)
    search.log(caplog.records)
    search.assert_nothing_found()


def test_no_secret_is_shown_by_a_wait_that_ends_too_late(
    search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await client.cloud.templates.create(TEMPLATE)
        cloud.order(faults.stuck_pull())
        mine = await client.instances.create(**{**WANTED, "template_id": made})
        with pytest.raises(WaitTimedOut) as caught:
            await mine.wait_until_ready(timeout=600)
        search.error("a wait that ended too late", caught.value)
        search.value("the instance", await client.instances.get(mine.id))
        search.value("its jobs", await client.jobs.list())
        (machine,) = cloud.instances
        found = await client.cloud.instances.get(machine.id)
        token = found.env("TOKEN")
        assert token is not None
        assert token.reveal() == ENV

    Years().tell(story)
    search.log(caplog.records)
    search.assert_nothing_found()


def passwords(machine: Any) -> set[str]:
    """What the cloud made up for a machine, as it came."""
    parts = [machine, *attrs.astuple(machine, recurse=False)]
    return {
        one.reveal()
        for part in parts
        if attrs.has(type(part))
        for one in attrs.astuple(part, recurse=False)
        if isinstance(one, Secret) and len(one.reveal()) > 6
    }


@pytest.mark.parametrize("kind", [Novitai, AsyncNovitai])
@pytest.mark.parametrize(
    "wrong",
    [{"timeout": -1}, {"base_url": "ftp://x"}, {"retry": 5}, {"nonsense": 1}, {"store": 5}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_no_secret_is_shown_when_a_client_cannot_be_made(
    kind: Any, wrong: dict[str, Any], search: Search
) -> None:
    with pytest.raises((SettingsError, TypeError)) as caught:
        kind(**{"api_key": API_KEY, "webhook_secrets": (WEBHOOK,), "store": "memory", **wrong})
    search.error("a client that cannot be made", caught.value)
    search.assert_nothing_found()


def test_the_search_finds_what_is_there(search: Search) -> None:
    """Otherwise everything above would hold for a search that never finds."""
    search.value("a leak", {"key": API_KEY})
    with pytest.raises(AssertionError, match="canary-api-k"):
        search.assert_nothing_found()


def test_the_stock_has_a_credential_to_hide() -> None:
    assert DEFAULT_STOCK.credentials
