"""A webhook reaches a real receiver, or says why not; what follows from an attempt is a table."""

import socket
import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from couriers import EVENT, Send, delivered
from receivers import Receiver

from novitai_sdk import (
    AlreadyReceived,
    CallTimedOut,
    ConnectFailed,
    Novitai,
    Secret,
    ValidationError,
)
from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.errors import TransportFailed
from novitai_sdk.jobs import Change, Done, GiveUp, MemoryStore, Retry, Runner
from novitai_sdk.models import Job, JobStatus
from novitai_sdk.testing import LoopClock
from novitai_sdk.webhooks import (
    SCHEDULE,
    DeliveryPolicy,
    SeenIds,
    Sender,
    TargetRefused,
    delivery_handler,
    new_secret,
    verify,
    webhook_job,
)
from novitai_sdk.webhooks._port import WebhookReply

pytestmark = pytest.mark.anyio
LOCAL = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}


async def post(receiver: Receiver, **options: Any) -> WebhookReply:
    return await Sender(**{**LOCAL, **options}).post(receiver.url, b"{}", {"X-Test": "1"})


async def test_the_body_and_the_headers_arrive_as_they_were_given():
    with Receiver() as receiver:
        assert (await post(receiver)).status == 204
        got = receiver.got.get(timeout=5)
    assert (got.path, got.body, got.headers["X-Test"]) == ("/webhook", b"{}", "1")
    assert got.headers["Host"] == receiver.url.split("/")[2]


async def test_a_redirect_is_not_followed():
    with Receiver() as other, Receiver(302, headers={"Location": other.url}) as receiver:
        assert (await post(receiver)).status == 302
        assert other.got.empty()


async def test_a_long_answer_is_read_to_its_bound_only():
    with Receiver(500, body=b"x" * 5_000_000) as receiver:
        reply = await post(receiver)
    assert (reply.status, len(reply.body)) == (500, 20_000)


async def test_a_receiver_that_never_answers_is_left_after_the_timeout():
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(CallTimedOut):
            await Sender(**LOCAL, timeout=0.1).post(f"http://127.0.0.1:{port}/", b"{}", {})


async def test_nobody_there_means_nothing_was_sent(free_tcp_port: int):
    with pytest.raises(ConnectFailed):
        await Sender(**LOCAL).post(f"http://127.0.0.1:{free_tcp_port}/", b"{}", {})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "plain http is not allowed"),
        ("ftp://example.com/", "http and https URLs only"),
        ("https:///nowhere", "http and https URLs only"),
        ("https://user:pw@example.com/", "credentials"),
        ("https://example.com:99999/", "not a URL"),
        ("https://inside.example.com/", "10.0.0.1, a private address"),
    ],
)
async def test_a_target_that_is_not_for_webhooks_is_refused(url: str, reason: str):
    async def inside(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(TargetRefused, match=reason):
        await Sender(resolve=inside).post(url, b"{}", {})


async def test_a_name_that_changes_its_address_is_sent_to_the_one_that_was_judged():
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.example")
        assert (await Sender(**LOCAL, resolve=rebinding).post(url, b"{}", {})).status == 204
        got = receiver.got.get(timeout=5)
    assert got.headers["Host"].startswith("rebinding.example:")
    assert answers == [["10.0.0.1"]]


async def test_the_next_address_is_tried_when_one_cannot_be_reached():
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.255.255.254", "127.0.0.1"]

    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "two.example")
        assert (await Sender(**LOCAL, resolve=two).post(url, b"{}", {})).status == 204


async def test_a_name_nobody_knows_is_a_failure_to_connect():
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("unknown name")

    async def nothing(host: str, port: int) -> Sequence[str]:
        return []

    for resolve in (nobody, nothing):
        with pytest.raises(ConnectFailed, match="example"):
            await Sender(resolve=resolve).post("https://example.com/", b"{}", {})


async def test_a_name_that_takes_long_to_resolve_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
):
    known, over = socket.getaddrinfo, threading.Event()

    def stubborn(host: Any, *args: Any, **options: Any) -> Any:
        if (
            args[4:] and args[4] & socket.AI_NUMERICHOST
        ):  # trio looks whether there is anything to ask
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if "slow" in str(host):
            over.wait(20)
        return known("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", stubborn)
    async with anyio.create_task_group() as tasks:
        for n in range(60):
            tasks.start_soon(attempt, f"http://slow-{n}.example:9/")
        await anyio.lowlevel.checkpoint()
        try:
            with anyio.fail_after(5):
                # As a connection to the cloud does.
                assert await anyio.getaddrinfo("cloud.example", 443)
        finally:
            over.set()


async def attempt(url: str) -> None:
    with pytest.raises(ConnectFailed):
        await Sender(**LOCAL).post(url, b"{}", {})


async def test_a_name_is_resolved_as_it_is_told_to_the_receiver():
    asked: list[str] = []

    async def local(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with Receiver() as receiver:
        for name in ("straße.example", "Bücher.example"):
            url = receiver.url.replace("127.0.0.1", name)
            await Sender(**LOCAL, resolve=local).post(url, b"{}", {})
        told = [receiver.got.get(timeout=5).headers["Host"].partition(":")[0] for _ in asked]
    # By the standard of today: for that of 2003 the first was strasse.example.
    assert asked == told == ["xn--strae-oqa.example", "xn--bcher-kva.example"]


# -- what follows ------------------------------------------------------------------------------------

EXACT = DeliveryPolicy(spread=float)


@pytest.mark.parametrize(
    ("number", "status", "retry_after", "expected"),
    [
        (1, 200, None, Done()),
        (1, 204, None, Done()),
        (1, 302, None, 5.0),
        (1, 404, None, 5.0),
        (2, 500, None, 300.0),
        (9, 500, None, 86400.0),
        (1, 503, None, 60.0),
        (1, 429, None, 60.0),
        (2, 429, None, 300.0),
        (2, 500, "1", 300.0),
        (2, 500, "400", 400.0),
        (2, 500, "9999", 600.0),
        (9, 500, "999999", 86400.0),
        (2, 500, "soon", 300.0),
    ],
)
def test_what_follows_from_an_answer(
    number: int, status: int, retry_after: str | None, expected: Any
):
    outcome = EXACT.after_reply(
        number, WebhookReply(status=status, retry_after=retry_after), now=0.0
    )
    if isinstance(outcome, Retry):
        assert str(status) in outcome.error
        assert outcome.after == expected
    else:
        assert outcome == expected


def test_a_date_is_honoured_and_gone_is_final():
    later = format_datetime(datetime(2026, 1, 1, 0, 6, 40, tzinfo=timezone.utc), usegmt=True)
    now = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    outcome = EXACT.after_reply(2, WebhookReply(status=500, retry_after=later), now=now)
    assert isinstance(outcome, Retry)
    assert outcome.after == 400.0
    gone = EXACT.after_reply(1, WebhookReply(status=410, body=b"bye"), now=0.0)
    assert isinstance(gone, GiveUp)
    assert "410" in gone.error
    assert "bye" in gone.error


def test_a_timeout_slows_down_and_a_refused_connection_does_not():
    slow = EXACT.after_failure(1, CallTimedOut("no answer"))
    quick = EXACT.after_failure(1, ConnectFailed("nobody there"))
    assert isinstance(slow, Retry)
    assert isinstance(quick, Retry)
    assert (slow.after, quick.after) == (60.0, 5.0)


def test_waits_are_spread_by_a_fifth():
    waits = {DeliveryPolicy().wait(2, None, slow=False) for _ in range(200)}
    assert 240 <= min(waits) < 270
    assert 330 < max(waits) <= 360


@pytest.mark.parametrize(
    ("asked", "slow", "least", "most"),
    [
        (400.0, False, 400, 480),
        (9999.0, False, 600, 720),
        (400.0, True, 400, 480),
        (250.0, False, 250, 360),
    ],
)
def test_a_receiver_is_never_asked_again_before_the_time_it_named(
    asked: float, slow: bool, least: float, most: float
):
    waits = {DeliveryPolicy().wait(2, asked, slow=slow) for _ in range(500)}
    assert least <= min(waits) <= max(waits) <= most
    assert len(waits) > 400


def test_a_receiver_with_too_much_to_do_is_left_alone_for_a_minute_at_least():
    waits = {DeliveryPolicy().wait(1, None, slow=True) for _ in range(500)}
    assert 60 <= min(waits) < 62
    assert 70 < max(waits) <= 72


class Refusing:
    """A receiver in memory that is always down."""

    def __init__(self, error: Exception | None = None) -> None:
        self.bodies: list[tuple[bytes, dict[str, str]]] = []
        self.error = error

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        self.bodies.append((body, headers))
        if self.error is not None:
            raise self.error
        return WebhookReply(status=500, body=b"on fire")


def run_out(sending: Refusing, secret: str) -> Any:
    """Let a job run out of attempts, on virtual time; return it."""

    async def main() -> Any:
        clock, store = LoopClock(), MemoryStore()
        waiter = AsyncWaiter(clock)
        handler = delivery_handler(sending, lambda: [Secret(secret)], clock, store=store)
        runner = Runner(store, {"send_webhook": handler}, waiter=waiter)
        new = webhook_job(EVENT, "https://example.com/", now=clock.time())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await waiter.result(store.commit(Change(jobs=(new,))))
            job = await waiter.result(store.settled(new.job.id))
            runner.stop()
        return job

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_receiver_that_stays_down_is_tried_ten_times_in_three_days_then_given_up():
    sending, secret = Refusing(), new_secret()
    job = run_out(sending, secret)
    assert job.status == "failed"
    assert job.error is not None
    assert "500" in job.error
    assert "on fire" in job.error
    assert job.attempts == len(SCHEDULE) + 1 == len(sending.bodies)
    ids = {headers["webhook-id"] for _, headers in sending.bodies}
    stamps = [int(headers["webhook-timestamp"]) for _, headers in sending.bodies]
    assert len(ids) == 1
    assert stamps == sorted(set(stamps))
    assert 2 * 86400 < stamps[-1] - stamps[0] < 4 * 86400
    for body, headers in sending.bodies:
        at = int(headers["webhook-timestamp"])
        assert verify(body, headers, secret, now=at).event.instance_id == "inst_1_a"
    assert secret not in repr(job) + repr(job.payload)


def test_a_refused_target_is_given_up_at_once(caplog: pytest.LogCaptureFixture):
    sending = Refusing(TargetRefused("resolves to 10.0.0.1, a private address"))
    job = run_out(sending, new_secret())
    assert f"of 'inst_1_a' was not delivered ({job.id}): resolves to 10.0.0.1" in caplog.text
    assert job.status == "failed"
    assert "private address" in (job.error or "")
    assert len(sending.bodies) == 1


def test_a_stored_url_that_is_none_is_given_up_at_once():
    async def story(send: Send) -> None:
        (job,) = await send("http://[")
        assert (job.status, job.attempts) == (JobStatus.FAILED, 1)
        assert "not a URL" in (job.error or "")

    delivered(Sender(), story)


def test_an_unreachable_receiver_is_tried_again_too():
    sending = Refusing(TransportFailed("the connection broke"))
    assert run_out(sending, new_secret()).attempts == len(SCHEDULE) + 1


class Forgetful(Refusing):
    """A receiver that takes each webhook once, and whose first answer is lost."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.taken: list[str] = []
        self._secret, self._seen = secret, SeenIds()

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        self.bodies.append((body, headers))
        at = int(headers["webhook-timestamp"])
        try:
            webhook = verify(body, headers, self._secret, now=at, seen=self._seen)
        except AlreadyReceived:
            return WebhookReply(status=204)
        self.taken.append(webhook.message_id)
        raise TransportFailed("the connection broke")


def test_a_webhook_whose_first_answer_was_lost_is_taken_once_and_ends_as_delivered():
    secret = new_secret()
    receiver = Forgetful(secret)
    job = run_out(receiver, secret)
    assert (job.status, job.attempts, len(receiver.taken)) == ("completed", 2, 1)


class Town:
    """Receivers in memory: at one address nobody says anything until it is awake, all others answer at once."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        self.asked: list[float] = []
        self.awake = False

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        if "silent" in url:
            self.asked.append(anyio.current_time())
            if not self.awake:
                await anyio.sleep(15)
                raise CallTimedOut("no answer within 15 s")
        self.told.append((anyio.current_time(), url))
        return WebhookReply(status=204)


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_receiver_that_says_nothing_holds_up_no_other_and_gets_all_it_missed(town: Town):
    async def story(send: Send) -> None:
        missed: list[Job] = []

        async def send_many() -> None:
            missed.extend(await send(*(f"https://silent.example/{n}" for n in range(200))))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_many)
            await anyio.sleep(20)  # by then the first attempts have ended
            for minute in range(10):
                began = anyio.current_time()
                await send(f"https://quick.example/{minute}")
                assert anyio.current_time() - began < 1
                await anyio.sleep(60)
            assert len(town.asked) < 8 + 12
            town.awake = True
        assert {job.status for job in missed} == {JobStatus.COMPLETED}
        # Nobody spent an attempt on waiting for the others.
        assert sum(job.attempts for job in missed) == len(town.asked)
        assert len([url for _, url in town.told if "silent" in url]) == 200

    delivered(town, story)


class Crowded(Town):
    """One URL has too much to do until it is awake; another of the same host, and all else, answer at once."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        if url.endswith("/crowded") and not self.awake:
            self.asked.append(anyio.current_time())
            return WebhookReply(status=self.status)
        self.told.append((anyio.current_time(), url))
        return WebhookReply(status=204)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_url_that_is_overloaded_is_not_asked_for_each_webhook_and_its_host_goes_on(status: int):
    town = Crowded(status)

    async def story(send: Send) -> None:
        missed: list[Job] = []

        async def send_many() -> None:
            missed.extend(await send(*["https://busy.example/crowded"] * 200))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_many)
            for number in range(10):
                await anyio.sleep(60)
                began = anyio.current_time()
                await send(f"https://busy.example/{number}")
                assert anyio.current_time() - began < 1
            assert len(town.asked) < 8 + 12
            town.awake = True
        assert {job.status for job in missed} == {JobStatus.COMPLETED}
        assert sum(job.attempts for job in missed) == len(town.asked) + 200
        assert len([url for _, url in town.told if url.endswith("/crowded")]) == 200

    delivered(town, story)


# -- what is sent --------------------------------------------------------------------------------------


def test_the_bytes_that_are_stored_are_the_bytes_that_are_sent():
    event = {"b": 1, "a": "é\ud800 \u2028", "nested": {"z": [1.5, None, True]}}
    job = webhook_job(event, "https://example.com/", now=0.0, headers={"X-Tenant": "7"}).job
    assert (
        job.payload["body"] == '{"b":1,"a":"\\u00e9\\ud800 \\u2028","nested":{"z":[1.5,null,true]}}'
    )
    assert job.payload["headers"] == {"X-Tenant": "7"}
    assert str(job.payload["messageId"]).startswith("msg_")
    assert "." not in str(job.payload["messageId"])


@pytest.mark.parametrize(
    "event",
    [{"a": float("nan")}, {"a": object()}, {"a": "x" * 300_000}],
    ids=["nan", "object", "size"],
)
def test_what_cannot_be_a_body_is_refused_when_it_is_given(event: Any):
    with pytest.raises(ValidationError, match="payload"):
        webhook_job(event, "https://example.com/", now=0.0)


def test_a_client_sends_events_of_the_programs_own():
    secret = new_secret()
    with (
        Receiver(500) as receiver,
        Novitai(
            api_key="k",
            store="memory",
            webhook_secrets=secret,
            webhook_allow_http=True,
            webhook_allow_networks=["127.0.0.0/8"],
        ) as client,
    ):
        with pytest.raises(ValidationError, match="URL"):
            client.webhooks.send({"mine": 1}, "not a url")
        job = client.webhooks.send({"mine": 1}, receiver.url)
        got = receiver.got.get(timeout=5)
        assert verify(got.body, got.headers, secret).json == {"mine": 1}
        assert got.headers["User-Agent"].startswith("novitai-sdk")
        (kept,) = client.webhooks.deliveries()
        assert kept.id == job.id
        assert client.webhooks.deliveries(status="failed") == ()
