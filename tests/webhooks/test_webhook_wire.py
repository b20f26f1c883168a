"""What a hostile URL, header, certificate or receiver can do to a delivery: nothing beyond failing it."""

import gzip
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import attrs
import pytest
from receivers import Receiver

from novitai_sdk import CallTimedOut, ConnectFailed, Novitai, TransportFailed, ValidationError
from novitai_sdk.jobs import Change, GiveUp, MemoryStore
from novitai_sdk.webhooks import (
    DeliveryPolicy,
    Sender,
    TargetRefused,
    _sender,
    new_secret,
    verify,
    webhook_job,
)
from novitai_sdk.webhooks._port import WebhookReply

pytestmark = pytest.mark.anyio
TLS = Path(__file__).parents[1] / "core" / "tls"
LOCAL: dict[str, Any] = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
CLIENT: dict[str, Any] = {
    "api_key": "k", "webhook_allow_http": True, "webhook_allow_networks": ["127.0.0.0/8"],
}  # fmt: skip
EVENT = {"instanceId": "inst_1_a", "status": "running", "timestamp": "2026-01-01T00:00:00.000Z"}


# -- certificates --------------------------------------------------------------------------------------


@pytest.fixture
def certified() -> ssl.SSLContext:
    """The server's side of a certificate for localhost, 127.0.0.1 and cloud.test."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return server


@pytest.fixture
def trusted(certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The same, believed by senders."""
    trust = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
    monkeypatch.setattr(_sender, "_trust", lambda: trust)
    return certified


async def here(host: str, port: int) -> Sequence[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]


async def test_a_receiver_is_believed_by_the_name_in_its_certificate(trusted: ssl.SSLContext):
    with Receiver(tls=trusted) as receiver:
        url = receiver.url.replace("127.0.0.1", "cloud.test")
        assert (await Sender(**LOCAL, resolve=here).post(url, b"{}", {})).status == 204
        assert receiver.got.get(timeout=5).headers["Host"] == url.split("/")[2]


async def test_a_certificate_of_another_name_is_refused_though_its_address_is_the_judged_one(
    trusted: ssl.SSLContext,
):
    # The certificate names 127.0.0.1 as well: whoever compared it with the address would be deceived.
    with Receiver(tls=trusted) as receiver:
        url = receiver.url.replace("127.0.0.1", "bank.test")
        with pytest.raises(ConnectFailed, match=r"'bank\.test'"):
            await Sender(**LOCAL, resolve=here).post(url, b"{}", {})
        assert receiver.got.empty()


async def test_an_authority_of_the_environment_is_believed(
    certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_sender, "_trust", _sender._trust.__wrapped__)  # read anew, not remembered
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "cert.pem"))
    with Receiver(tls=certified) as receiver:
        assert (await Sender(**LOCAL).post(receiver.url, b"{}", {})).status == 204


async def test_a_certificate_nobody_vouches_for_is_refused(certified: ssl.SSLContext):
    with Receiver(tls=certified) as receiver:
        with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await Sender(**LOCAL).post(receiver.url, b"{}", {})
        assert receiver.got.empty()


# -- headers and URLs ----------------------------------------------------------------------------------

BAD_HEADERS = [
    {"X-Tenant": "7\r\nX-Evil: 1"},
    {"X-Tenant": "7\nX-Evil: 1"},
    {"X-Tenant": "7\x00"},
    {"X-Tenant": " 7"},
    {"X-Tenant": "s\xfc\xdf"},
    {"X-Tenant\r\nX-Evil": "1"},
    {"X Tenant": "1"},
    {"X-Tenant:": "1"},
    {"": "1"},
    {"host": "inside.example"},
    {"Content-Length": "0"},
    {"TRANSFER-ENCODING": "chunked"},
    {"Connection": "upgrade"},
]


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=repr)
async def test_headers_that_could_say_more_than_one_thing_are_refused(headers: dict[str, str]):
    with pytest.raises(ValidationError) as when_stored:
        webhook_job(EVENT, "https://example.com/", now=0.0, headers=headers)
    assert [detail.value for detail in when_stored.value.details] == [None]
    with Receiver() as receiver:
        with pytest.raises(ValidationError):
            await Sender(**LOCAL).post(receiver.url, b"{}", headers)
        assert receiver.got.empty()


def test_all_headers_that_cannot_be_sent_are_named_at_once_and_none_is_shown():
    headers = {"X-Key": "sk-secret\n", "Good": "yes", "Host": "sk-secret"}
    with pytest.raises(ValidationError) as refused:
        webhook_job(EVENT, "https://example.com/", now=0.0, headers=headers)
    assert [detail.field for detail in refused.value.details] == ["headers.X-Key", "headers.Host"]
    assert "sk-secret" not in str(refused.value) + repr(refused.value.details)


@pytest.mark.parametrize(
    "tail",
    ["\r\nX-Evil: 1", "\n", "\t", " HTTP/1.1", "\x00", "\x7f", "\u2028", "\ud800", "x" * 70_000],
    ids=ascii,
)
async def test_a_url_that_could_end_early_is_refused(tail: str):
    with Receiver() as receiver:
        with pytest.raises(TargetRefused):
            await Sender(**LOCAL).post(receiver.url + tail, b"{}", {})
        assert receiver.got.empty()


async def test_a_name_that_is_none_is_refused():
    with pytest.raises(TargetRefused, match="not a URL"):
        await Sender(**LOCAL, resolve=here).post("http://" + "\xfc" * 70 + ".example/", b"{}", {})


def test_a_stored_header_that_cannot_be_sent_ends_its_job_at_once():
    store = MemoryStore()
    new = webhook_job(EVENT, "http://127.0.0.1:9/", now=0.0)
    payload = {**new.job.payload, "headers": {"X-Tenant": "7\r\nX-Evil: 1"}}
    new = attrs.evolve(new, job=attrs.evolve(new.job, payload=payload))
    store.commit(Change(jobs=(new,))).result(5)
    with Receiver() as receiver, Novitai(**CLIENT, store=store) as client:
        client.webhooks.send({}, receiver.url)  # the runner starts with the first job of its own
        job = client.jobs.wait(new.job.id, timeout=5)
    assert (job.status, job.attempts) == ("failed", 1)
    assert "headers.X-Tenant" in (job.error or "")


def test_headers_of_the_programs_own_stand_beside_the_signature_and_never_for_it():
    secret = new_secret()
    headers = {
        "X-Tenant": "7", "user-agent": "mine/1", "WEBHOOK-ID": "msg_forged", "x-webhook-signature": "sha256=00",
    }  # fmt: skip
    with (
        Receiver() as receiver,
        Novitai(**CLIENT, store="memory", webhook_secrets=secret) as client,
    ):
        client.webhooks.send({"mine": 1}, receiver.url, headers=headers)
        got = receiver.got.get(timeout=5)
    received = verify(got.body, got.headers, secret)
    assert received.message_id != "msg_forged"
    assert verify(got.body, legacy_only(got.headers), secret, legacy=True).json == {"mine": 1}
    lowered = [name.lower() for name in got.headers]
    assert sorted(lowered) == sorted(set(lowered))
    assert (got.headers["X-Tenant"], got.headers["user-agent"]) == ("7", "mine/1")


def legacy_only(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "webhook-signature"}


# -- receivers that will not have it -------------------------------------------------------------------


def test_a_receiver_that_is_gone_stays_gone_also_for_the_next_client(tmp_path: Path):
    options = {**CLIENT, "store": str(tmp_path / "jobs.db")}
    with Receiver(410) as receiver:
        with Novitai(**options) as client:
            gone = client.jobs.wait(client.webhooks.send({"n": 1}, receiver.url).id, timeout=5)
        with Novitai(**options) as client:
            other = client.jobs.wait(client.webhooks.send({"n": 2}, receiver.url).id, timeout=5)
            assert len(client.webhooks.deliveries(status="failed")) == 2
            client.jobs.retry(other.id)
            asked = client.jobs.wait(other.id, timeout=5)
            last = client.jobs.wait(client.webhooks.send({"n": 3}, receiver.url).id, timeout=5)
        told = [receiver.got.get(timeout=5).body for _ in range(3)]
        assert receiver.got.empty()
    assert told == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert (gone.attempts, gone.next_retry_at) == (1, None)
    assert "answered 410" in (gone.error or "")
    assert "not sent: the endpoint is disabled, it answered 410 (gone) at" in (other.error or "")
    assert (asked.status, last.status) == ("completed", "completed")


def test_what_a_receiver_says_cannot_begin_a_line_of_the_log():
    said = b"no\r\n2026-01-01 ERROR forged \x1b[31m\xe2\x80\xa8\xff"
    outcome = DeliveryPolicy().after_reply(1, WebhookReply(status=410, body=said), now=0.0)
    assert isinstance(outcome, GiveUp)
    assert outcome.error.isprintable()
    assert "no  2026-01-01 ERROR forged  [31m" in outcome.error


async def test_a_compressed_answer_is_not_blown_up():
    bomb = gzip.compress(b"x" * 20_000_000)
    with Receiver(500, headers={"Content-Encoding": "gzip"}, body=bomb) as receiver:
        reply = await Sender(**LOCAL).post(receiver.url, b"{}", {})
    assert reply.body == bomb[:20_000]


@asynccontextmanager
async def endless(begin: bytes, part: bytes) -> AsyncIterator[str]:
    """A receiver that begins an answer and never ends it, sending *part* for ever, or nothing; its URL."""

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError):
                await stream.receive()
                await stream.send(begin)
                while part:
                    await stream.send(part)
                await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, answer)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/"
        tasks.cancel_scope.cancel()


async def test_headers_without_end_are_a_broken_answer():
    async with endless(b"HTTP/1.1 200 OK\r\n", b"X-Pad: " + b"x" * 8000 + b"\r\n") as url:
        with pytest.raises(TransportFailed) as failed:
            await Sender(**LOCAL).post(url, b"{}", {})
    assert not isinstance(failed.value, CallTimedOut)


async def test_a_body_without_end_counts_as_the_answer_its_status_gives():
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with endless(begin, b"400\r\n" + b"x" * 1024 + b"\r\n") as url:
        reply = await Sender(**LOCAL).post(url, b"{}", {})
    assert (reply.status, len(reply.body)) == (200, 20_000)


async def test_a_body_that_breaks_off_takes_nothing_from_the_status():
    headers = {"Content-Length": "100", "Retry-After": "400"}
    with Receiver(429, headers=headers, body=b"busy") as receiver:
        reply = await Sender(**LOCAL).post(receiver.url, b"{}", {})
    assert (reply.status, reply.retry_after, reply.body) == (429, "400", b"busy")


async def test_a_body_that_never_comes_takes_nothing_from_the_status():
    begin = b"HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\nbye"
    async with endless(begin, b"") as url:
        reply = await Sender(**LOCAL, timeout=0.2).post(url, b"{}", {})
    assert (reply.status, reply.body) == (410, b"bye")


async def test_interim_answers_without_end_meet_the_deadline():
    async with endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n") as url:
        with pytest.raises(CallTimedOut):
            await Sender(**LOCAL, timeout=0.2).post(url, b"{}", {})
