"""What is signed is believed, and nothing else is: not a byte, not a second, not an id may change."""

import base64
import hashlib
import hmac
import http.client
import io
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import AlreadyReceived, Secret, SignatureInvalid
from novitai_sdk.webhooks import SeenIds, _signature, new_secret, sign, verify

NOW = 1_767_225_600
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PLAIN = "a plain secret of enough bytes"
BODY = (
    b'{"instanceId":"inst_1_a","status":"running","timestamp":"2026-01-01T00:00:00.000Z",'
    b'"elapsedTime":11012}'
)


def signed(body: bytes = BODY, secrets: object = SECRET, at: int = NOW) -> dict[str, str]:
    return sign(body, secrets=secrets, message_id="msg_1", timestamp=at)  # type: ignore[arg-type]


def test_what_was_signed_is_verified_and_read():
    received = verify(BODY, signed(), SECRET, now=NOW)
    assert (received.message_id, received.timestamp, received.body) == ("msg_1", NOW, BODY)
    assert received.event.instance_id == "inst_1_a"
    assert received.event.elapsed_time == 11012
    assert received.json["status"] == "running"


@pytest.mark.parametrize(
    "body", [BODY.decode(), json.loads(BODY), None], ids=["text", "parsed", "none"]
)
def test_a_body_that_is_not_what_arrived_is_a_mistake_of_the_receiver_and_says_so(body: object):
    with pytest.raises(TypeError, match="the bytes as they arrived"):
        verify(body, signed(), SECRET, now=NOW)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the bytes as they arrived"):
        sign(body, secrets=SECRET, message_id="msg_1", timestamp=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("secrets", "kind"),
    [(None, "NoneType"), ([SECRET, None], "NoneType"), (SECRET.encode(), "bytes"), (5, "int")],
)
def test_what_is_no_secret_is_a_mistake_of_the_program_and_is_not_repeated(
    secrets: object, kind: str
):
    for act in (
        lambda: verify(BODY, signed(), secrets, now=NOW),  # type: ignore[arg-type]  # must be refused
        lambda: signed(secrets=secrets),
    ):
        with pytest.raises(TypeError) as caught:
            act()
        assert str(caught.value) == f"a webhook secret is a text or a Secret, not {kind}"


@pytest.mark.parametrize(
    "moment", [NOW + 0.5, str(NOW), datetime.now(tz=timezone.utc), -1, 10**12, None]
)
def test_a_time_that_no_receiver_would_take_is_not_signed(moment: object):
    with pytest.raises(ValueError, match="whole seconds since 1970 are expected"):
        signed(at=moment)  # type: ignore[arg-type]  # must be refused


def test_a_library_of_the_standard_believes_us_and_we_believe_it():
    theirs = standardwebhooks.Webhook(SECRET)
    moment = datetime.now(tz=timezone.utc)
    ours = sign(BODY, secrets=SECRET, message_id="msg_1", timestamp=int(moment.timestamp()))
    assert theirs.verify(BODY, ours) == json.loads(BODY)
    signature = theirs.sign("msg_2", moment, BODY.decode())
    headers = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }
    assert verify(BODY, headers, SECRET).message_id == "msg_2"


def test_a_receiver_that_knows_the_services_own_header_only_finds_it():
    headers = signed(secrets=PLAIN)
    digest = hmac.new(PLAIN.encode(), BODY, hashlib.sha256).hexdigest()
    assert headers["X-Webhook-Signature"] == f"sha256={digest}"
    assert headers["X-Webhook-Timestamp"] == str(NOW)


@pytest.mark.parametrize("secrets", [SECRET, PLAIN, Secret(SECRET), [new_secret(), SECRET]])
def test_secrets_come_in_several_forms(secrets: object):
    assert verify(BODY, signed(secrets=secrets), secrets, now=NOW).message_id == "msg_1"  # type: ignore[arg-type]


def test_while_a_secret_is_replaced_both_are_believed():
    old, new = new_secret(), new_secret()
    both = signed(secrets=[new, old])
    assert verify(BODY, both, old, now=NOW) == verify(BODY, both, new, now=NOW)
    assert verify(BODY, signed(secrets=old), [new, old], now=NOW).message_id == "msg_1"
    with pytest.raises(SignatureInvalid, match="no signature matches"):
        verify(BODY, signed(secrets=old), new, now=NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-id": "msg_2"}, "no signature matches"),
        ({"webhook-timestamp": str(NOW + 1)}, "no signature matches"),
        ({"webhook-timestamp": str(NOW - 301)}, "off, more than"),
        ({"webhook-timestamp": str(NOW + 301)}, "off, more than"),
        ({"webhook-timestamp": f"{NOW}.9"}, "whole number"),
        ({"webhook-timestamp": "-5"}, "whole number"),
        ({"webhook-timestamp": "9" * 400}, "whole number"),
        ({"webhook-id": ""}, "missing"),
        ({"webhook-id": "msg.1"}, "dot"),
        ({"webhook-signature": "v1,"}, "no signature matches"),
        ({"webhook-signature": "v1"}, "no signature matches"),
        ({"webhook-signature": "v1a,AAAA v2,BBBB"}, "no v1 signature"),
        ({"webhook-signature": "v1,not-base64!"}, "no v1 signature"),
        ({"webhook-signature": "v1,é"}, "not ASCII"),
        ({"webhook-signature": "v1,A" * 10_000}, "too long"),
    ],
)
def test_whatever_is_changed_is_refused_with_its_reason(change: dict[str, str], reason: str):
    with pytest.raises(SignatureInvalid, match=reason) as caught:
        verify(BODY, {**signed(), **change}, SECRET, now=NOW)
    assert reason in caught.value.reason


def test_one_changed_byte_of_the_body_is_refused():
    with pytest.raises(SignatureInvalid):
        verify(BODY.replace(b"running", b"stopped"), signed(), SECRET, now=NOW)


def test_header_names_may_come_in_any_case_and_as_pairs():
    loud = [(name.upper(), value) for name, value in signed().items()]
    assert verify(BODY, loud, SECRET, now=NOW).message_id == "msg_1"


def test_the_headers_of_a_server_of_the_standard_library_are_taken_as_they_are():
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed().items())
    headers = http.client.parse_headers(io.BytesIO(f"{lines}\r\n".encode()))
    assert verify(BODY, headers, SECRET, now=NOW).message_id == "msg_1"


def test_the_raw_headers_of_an_asgi_application_are_taken_as_they_are():
    raw = [(name.lower().encode(), value.encode()) for name, value in signed().items()]
    assert verify(BODY, raw, SECRET, now=NOW).message_id == "msg_1"
    strange = [(name, b"\xff" + value) for name, value in raw]
    with pytest.raises(SignatureInvalid, match="not ASCII"):
        verify(BODY, strange, SECRET, now=NOW)


@pytest.mark.parametrize(("now", "tolerance"), [(NOW + 10**9, float("nan")), (float("nan"), 300.0)])
def test_a_time_that_is_no_number_lets_nothing_through(now: float, tolerance: float):
    with pytest.raises(SignatureInvalid, match="off, more than"):
        verify(BODY, signed(), SECRET, now=now, tolerance=tolerance)


def test_a_replay_is_noticed_by_whoever_remembers():
    seen = SeenIds()
    verify(BODY, signed(), SECRET, now=NOW, seen=seen)
    with pytest.raises(AlreadyReceived, match="received before"):
        verify(BODY, signed(), SECRET, now=NOW, seen=seen)


def test_who_cannot_sign_is_not_told_what_was_received():
    seen = SeenIds()
    verify(BODY, signed(), SECRET, now=NOW, seen=seen)
    with pytest.raises(SignatureInvalid) as refused:
        verify(BODY, signed(secrets=new_secret()), SECRET, now=NOW, seen=seen)
    assert not isinstance(refused.value, AlreadyReceived)


@pytest.mark.parametrize("tolerance", [0, 300, 3600, 86_400])
@pytest.mark.parametrize("fast", [-1, 0, 1])
def test_a_replay_is_noticed_for_as_long_as_its_signature_is_valid(tolerance: int, fast: int):
    seen, headers = SeenIds(), signed(at=NOW + fast * tolerance)
    verify(BODY, headers, SECRET, now=NOW, tolerance=tolerance, seen=seen)
    last = NOW + fast * tolerance + tolerance
    for moment in (NOW, (NOW + last) / 2, last):
        with pytest.raises(SignatureInvalid, match="received before"):
            verify(BODY, headers, SECRET, now=moment, tolerance=tolerance, seen=seen)
    with pytest.raises(SignatureInvalid, match="off, more than"):
        verify(BODY, headers, SECRET, now=last + 1, tolerance=tolerance, seen=seen)


def test_a_redelivery_that_was_refused_is_refused_for_as_long_as_it_is_valid():
    seen = SeenIds()
    verify(BODY, signed(), SECRET, now=NOW, seen=seen)
    for moment in (NOW + 590, NOW + 601, NOW + 880):
        with pytest.raises(SignatureInvalid, match="received before"):
            verify(BODY, signed(at=NOW + 590), SECRET, now=moment, seen=seen)


def test_a_full_memory_knows_its_oldest_id_until_a_new_one_comes():
    seen = SeenIds(most=2)
    assert [seen.add(name, now=0.0) for name in ("a", "b", "a", "c", "a", "b")] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_the_memory_of_ids_is_bounded_in_time_and_number():
    seen = SeenIds(keep=10, most=3)
    assert all(seen.add(f"msg_{n}", now=float(n)) for n in range(5))
    assert seen.add("msg_0", now=5.0)
    assert not seen.add("msg_4", now=5.0)
    assert seen.add("msg_4", now=50.0)


def test_in_a_child_forked_while_another_thread_remembers_an_id_it_can_be_remembered():
    seen = SeenIds()
    seen._lock.acquire()  # by a thread of the parent, which the child does not have
    _signature._in_this_process.begin_anew()
    assert seen.add("msg_1", now=0.0)


def test_of_deliveries_that_arrive_at_once_on_several_threads_one_is_the_first(
    hasty_threads: None,
):
    seen, ids = SeenIds(), [f"msg_{n}" for n in range(20_000)]
    together = threading.Barrier(4)

    def receive() -> list[str]:
        together.wait(10)
        return [one for one in ids if seen.add(one, now=0.0)]

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(receive) for _ in range(4)]
        accepted = [one for each in asked for one in each.result(20)]
    assert sorted(accepted) == sorted(ids)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns all the time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_the_replayable_header_is_believed_only_when_asked_for():
    only = {name: value for name, value in signed(secrets=PLAIN).items() if name.startswith("X-")}
    with pytest.raises(SignatureInvalid, match="webhook-id is missing"):
        verify(BODY, only, PLAIN, now=NOW)
    received = verify(BODY, only, PLAIN, now=NOW, legacy=True)
    assert (received.message_id, received.event.status) == ("", "running")
    for change in ({"X-Webhook-Signature": "sha256=00"}, {"X-Webhook-Signature": "md5=00"}):
        with pytest.raises(SignatureInvalid, match="does not match"):
            verify(BODY, {**only, **change}, PLAIN, now=NOW, legacy=True)


@pytest.mark.parametrize(
    "secret", ["short", "whsec_****", "whsec_" + base64.b64encode(b"x").decode()]
)
def test_an_unusable_secret_is_the_receivers_mistake(secret: str):
    with pytest.raises(ValueError, match="secret"):
        verify(BODY, signed(), secret, now=NOW)
    with pytest.raises(ValueError, match="secret"):
        signed(secrets=secret)


def test_without_secrets_nothing_is_believed_and_a_dotted_id_is_not_signed():
    with pytest.raises(SignatureInvalid, match="no secret"):
        verify(BODY, signed(), [], now=NOW)
    with pytest.raises(ValueError, match="without a dot"):
        sign(BODY, secrets=SECRET, message_id="msg.1", timestamp=NOW)


def test_a_short_plain_secret_signs_in_the_services_own_way_only():
    headers = signed(secrets="only-16-bytes-ab")
    assert "webhook-signature" not in headers
    assert "X-Webhook-Signature" in headers


@pytest.mark.parametrize("secret", ["only-16-bytes-ab", "long" * 20])
def test_who_verifies_with_a_secret_that_cannot_sign_by_the_standard_is_told_so(secret: str):
    headers = signed(secrets=secret)
    with pytest.raises(SignatureInvalid, match=r"24 to 64 bytes.*new_secret.*legacy=True"):
        verify(BODY, headers, secret, now=NOW)
    assert verify(BODY, headers, secret, now=NOW, legacy=True).event.status == "running"
    assert verify(BODY, signed(), [secret, SECRET], now=NOW).message_id == "msg_1"


@pytest.mark.parametrize("body", [b"[1]", b"not json", b'{"status":1}', b"[" * 100_000, b"\xff"])
def test_a_signed_body_that_is_no_event_says_so(body: bytes):
    received = verify(body, signed(body), SECRET, now=NOW)
    with pytest.raises(SignatureInvalid):
        _ = received.event


junk = st.one_of(st.text(max_size=50), st.just("v1," + "A" * 44), st.just(str(NOW)))


@given(
    body=st.binary(max_size=100),
    headers=st.dictionaries(
        st.one_of(
            st.sampled_from(
                ["webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"]
            ),
            st.text(max_size=10),
        ),
        junk,
    ),
    legacy=st.booleans(),
)
def test_whatever_a_stranger_sends_ends_in_one_kind_of_error(
    body: bytes, headers: dict[str, str], legacy: bool
):
    with pytest.raises(SignatureInvalid):
        verify(body, headers, SECRET, now=NOW, legacy=legacy)


@pytest.mark.parametrize("headers", [[1, 2], [("a",)], [None]])
def test_headers_that_are_no_pairs_are_refused(headers: list[object]):
    with pytest.raises(SignatureInvalid):
        verify(BODY, headers, SECRET, now=NOW)  # type: ignore[arg-type]
