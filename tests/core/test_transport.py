"""What a transport promises about replies, deadlines, failures and connections, on real sockets."""

import contextlib
import gzip
import itertools
import os
import socket
import ssl
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from novitai_sdk._calling import Async, Sync, drive
from novitai_sdk._transport import (
    AsyncTransport,
    BlockingTransport,
    Reply,
    Request,
    _wires,
    user_agent,
)
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import (
    CallTimedOut,
    ClientClosed,
    ConnectFailed,
    NoFreeConnection,
    TransportFailed,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS = Path(__file__).parent / "tls"
KEY = "sk-very-secret-key"


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(url: str, timeout: float = 5.0, **headers: str) -> Request:
    return Request(method="GET", url=url, headers=headers, timeout=timeout)


def post(url: str, content: bytes = b"{}", timeout: float = 5.0) -> Request:
    return Request(method="POST", url=url, content=content, timeout=timeout)


def once(data: bytes) -> Callable[[Any], None]:
    """Answer the first request with *data*, then hang up."""

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(data)

    return behave


def every(data: bytes) -> Callable[[Any], None]:
    """Answer every request with *data*."""

    def behave(visit: Any) -> None:
        while visit.request() is not None:
            visit.send(data)

    return behave


# -- replies --------------------------------------------------------------------------------------


def test_a_reply_has_its_status_headers_in_lower_case_and_its_body(ask: Any, serve: Any) -> None:
    server = serve(every(reply(b"body", "X-Thing: a", "x-thing: b", status="418 I'm a teapot")))
    found = ask.one(server.url + "/pot")
    assert isinstance(found, Reply)
    assert (found.status, found.body, found.headers["x-thing"]) == (418, b"body", "a, b")


def test_what_is_sent_is_what_was_asked_and_what_http_needs(ask: Any, serve: Any) -> None:
    server = serve()
    ask(
        Request(method="POST", url=server.url + "/a?b=c%20d", headers={"X-A": "1"}, content=b"[]"),
        Request(method="POST", url=server.url + "/empty"),
        Request(method="GET", url=server.url),
    )
    first, second, third = server.requests
    assert first.startswith(b"POST /a?b=c%20d HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in first
    assert b"\r\nX-A: 1\r\n" in first
    assert b"\r\nContent-Length: 2\r\n" in first
    assert first.endswith(b"\r\n\r\n[]")
    assert b"\r\nContent-Length: 0\r\n" in second
    assert third.startswith(b"GET / HTTP/1.1\r\n")
    assert b"content-length" not in third.lower()


def test_a_reply_without_a_length_ends_with_the_connection(ask: Any, serve: Any) -> None:
    server = serve(once(b"HTTP/1.1 200 OK\r\n\r\nall of it"))
    assert ask.one(server.url).body == b"all of it"


def test_a_chunked_reply_is_put_together(ask: Any, serve: Any) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert ask.one(serve(every(chunked)).url).body == b"abc"


def test_an_interim_reply_is_passed_over(ask: Any, serve: Any) -> None:
    assert ask.one(serve(every(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)).url).body == b"ok"


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"unpacked"), gzip.compress(b"unpa") + gzip.compress(b"cked")],
    ids=["one member", "two members"],
)
def test_a_packed_reply_is_unpacked(ask: Any, serve: Any, packed: bytes) -> None:
    server = serve(every(reply(packed, "Content-Encoding: gzip")))
    assert ask.one(server.url).body == b"unpacked"
    assert b"Accept-Encoding: gzip" in server.requests[0]


def test_an_empty_reply_may_call_itself_packed(ask: Any, serve: Any) -> None:
    assert ask.one(serve(every(reply(b"", "Content-Encoding: gzip"))).url).body == b""


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (b"not gzip at all", "gzip", "the connection broke"),
        (gzip.compress(b"unpacked")[:-9], "gzip", "broke off"),
        (b"\x1b\x03", "br", "not asked for"),
    ],
    ids=["not packed", "cut off", "another packing"],
)
def test_a_reply_that_cannot_be_unpacked_is_a_failure(
    ask: Any, serve: Any, body: bytes, encoding: str, said: str
) -> None:
    found = ask.one(serve(every(reply(body, f"Content-Encoding: {encoding}"))).url)
    assert type(found) is TransportFailed
    assert said in str(found)
    assert found.same_again is (encoding == "br")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 1000 " + b"y" * 60_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"z" * 60_000 + b"\r\n",
        reply(b"{}", "Content-Encoding: " + "x" * 60_000),
    ],
    ids=["the status", "the size of a chunk", "the packing"],
)
def test_what_makes_no_sense_is_not_repeated_to_its_end(ask: Any, serve: Any, said: bytes) -> None:
    found = ask.one(serve(once(said)).url)
    assert type(found) is TransportFailed
    assert len("".join(traceback.format_exception(found))) < 5000


def test_redirects_are_handed_back_and_the_key_goes_nowhere_else(ask: Any, serve: Any) -> None:
    elsewhere = serve()
    server = serve(every(reply(b"", f"Location: {elsewhere.url}/", status="302 Found")))
    found = ask.one(get(server.url, Authorization=f"Bearer {KEY}"))
    assert (found.status, found.headers["location"]) == (302, f"{elsewhere.url}/")
    assert elsewhere.connections == 0


def test_it_speaks_to_the_emulator(ask: Any) -> None:
    with Emulator() as cloud:
        found = ask.one(
            get(
                f"{cloud.base_url}/gpu-instance/openapi/v1/clusters",
                Authorization=f"Bearer {cloud.api_key}",
            )
        )
        assert found.status == 200


def test_a_transport_tells_its_mode() -> None:
    assert BlockingTransport().mode is Sync
    assert AsyncTransport().mode is Async


def test_the_user_agent_names_library_python_and_application() -> None:
    assert user_agent("1.2").startswith("novitai-sdk/1.2 python/3.")
    assert user_agent("1.2", "app/3").startswith("app/3 novitai-sdk/1.2 ")


# -- what does not fit into memory -------------------------------------------------------------------


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(_wires, "LARGEST_REPLY", 2**20)
    return 2**20


def test_a_reply_that_never_ends_is_bounded(ask: Any, serve: Any, small_limit: int) -> None:
    sent = itertools.count()

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while visit.send(b"x" * 65_536):
            next(sent)

    server = serve(behave)
    found = ask.one(server.url)
    assert type(found) is TransportFailed
    assert "larger than 1 MB" in str(found)
    assert found.same_again
    assert server.settles_at(0)
    assert next(sent) * 65_536 < 64 * small_limit


def test_a_reply_as_large_as_allowed_is_read(ask: Any, serve: Any, small_limit: int) -> None:
    assert len(ask.one(serve(every(reply(b"x" * small_limit))).url).body) == small_limit


def test_a_few_bytes_that_stand_for_gigabytes_are_not_unpacked(
    ask: Any, serve: Any, small_limit: int
) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 2**17
    found = ask.one(serve(every(reply(bomb, "Content-Encoding: gzip"))).url)
    assert type(found) is TransportFailed
    assert "larger than 1 MB" in str(found)
    assert found.same_again


def test_endless_headers_are_bounded(ask: Any, serve: Any) -> None:
    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\n")
        while visit.send(b"X-Filler: " + b"x" * 10_000 + b"\r\n"):
            pass

    assert type(ask.one(serve(behave).url)) is TransportFailed


# -- what goes wrong --------------------------------------------------------------------------------


@pytest.fixture
def nobody() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_where_nobody_listens_nothing_was_sent(ask: Any, nobody: str) -> None:
    found = ask.one(nobody)
    assert type(found) is ConnectFailed
    assert "nothing was sent" in str(found)
    assert found.__cause__ is not None


def test_a_name_that_cannot_be_resolved_means_nothing_was_sent(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    found = ask.one("http://nowhere.invalid/")
    assert type(found) is ConnectFailed


def test_a_name_that_cannot_be_one_means_nothing_was_sent(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object, **__: object) -> Any:
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", too_long)
    assert type(ask.one("http://" + "a" * 64 + ".invalid/")) is ConnectFailed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nonly",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=["no reply", "half a head", "half a body", "half a chunk", "not HTTP"],
)
def test_a_reply_that_breaks_off_leaves_open_whether_it_was_done(
    ask: Any, serve: Any, data: bytes
) -> None:
    found = ask.one(post(serve(once(data)).url))
    assert type(found) is TransportFailed
    assert "broke" in str(found)


def test_a_connection_reset_in_the_middle_of_a_reply_is_a_broken_one(ask: Any, serve: Any) -> None:
    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        visit.reset()

    assert type(ask.one(serve(behave).url)) is TransportFailed


def stay(visit: Any) -> None:
    """Take the request, and say nothing until the client is gone."""
    while visit.request() is not None:
        pass


def drip(data: bytes) -> Callable[[Any], None]:
    """Send *data*, then one more byte every few milliseconds."""

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(data)
        while visit.send(b"1") and not visit.over.wait(0.01):
            pass

    return behave


def drip_hints(visit: Any) -> None:
    visit.request()
    while visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n") and not visit.over.wait(0.01):
        pass


def pour_hints(visit: Any) -> None:
    visit.request()
    while visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100):
        pass


def drip_nothing_unpacked(visit: Any) -> None:
    visit.request()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10])
    while visit.send(b"\x00\x00\x00\xff\xff") and not visit.over.wait(0.01):
        pass


@pytest.mark.parametrize(
    "behave",
    [
        stay,
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip_hints,
        pour_hints,
        drip_nothing_unpacked,
    ],
    ids=[
        "silent",
        "body in drops",
        "head in drops",
        "hints in drops",
        "hints in floods",
        "nothing in drops",
    ],
)
def test_a_deadline_means_time_however_the_peer_spreads_its_bytes(
    ask: Any, serve: Any, behave: Any, at_most: Any
) -> None:
    server = serve(behave)
    with at_most(1.5):
        found = ask.one(get(server.url, timeout=0.15))
    assert type(found) is CallTimedOut
    assert "0.15 s" in str(found)
    assert isinstance(found, TimeoutError)
    assert server.settles_at(0)


def test_a_peer_that_takes_the_request_in_drops_meets_the_deadline(
    ask: Any, serve: Any, at_most: Any
) -> None:
    def behave(visit: Any) -> None:
        visit.over.wait(10)

    server = serve(behave)
    with at_most(2.5):
        found = ask.one(post(server.url, b"x" * 30_000_000, timeout=0.2))
    assert type(found) is CallTimedOut


def test_a_connection_that_does_not_come_about_in_time_means_nothing_was_sent(
    ask: Any, at_most: Any
) -> None:
    with full_listener() as url, at_most(2.0):
        found = ask.one(get(url, timeout=5.0), connect_timeout=0.1)
    assert type(found) is ConnectFailed


def test_a_deadline_that_passes_while_connecting_means_nothing_was_sent(
    ask: Any, at_most: Any
) -> None:
    with full_listener() as url, at_most(2.0):
        found = ask.one(get(url, timeout=0.1), connect_timeout=5.0)
    assert type(found) is ConnectFailed


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """A listener that makes no further connections."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


def test_the_second_address_of_a_name_is_tried(
    ask: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    server = serve()
    ports = [int(nobody.rpartition(":")[2]), server.port]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", server.port))
            for number in (2, 1)
        ],
    )
    assert ports
    assert ask.one(f"http://two.invalid:{server.port}/").body == b"ok"


def test_a_name_without_an_address_means_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    transport = BlockingTransport()
    with pytest.raises(ConnectFailed, match="no address"):
        drive(transport.send(get("http://empty.invalid/")))


def test_a_year_and_more_is_a_deadline_too(ask: Any, serve: Any) -> None:
    assert ask.one(get(serve().url, timeout=1e300)).status == 200


def test_what_is_raised_shows_the_key_nowhere_not_even_in_the_locals_of_its_frames(
    ask: Any, serve: Any, at_most: Any
) -> None:
    def behave(visit: Any) -> None:
        visit.over.wait(10)

    url = serve(behave).url
    request = Request(
        method="POST",
        url=url,
        headers={"Authorization": f"Bearer {KEY}"},
        content=KEY.encode() * 1_000_000,
        timeout=0.1,
    )
    found = ask.one(request)
    assert isinstance(found, CallTimedOut)
    report = traceback.TracebackException.from_exception(found, capture_locals=True)
    assert KEY not in "".join(report.format())
    assert KEY not in repr(request)


@pytest.mark.parametrize("packed", ["br", "gzip"])
def test_a_reply_that_repeats_the_key_and_cannot_be_unpacked_is_in_no_local_of_a_frame(
    ask: Any, serve: Any, packed: str
) -> None:
    said = reply(gzip.compress(b"")[:-9], f"Content-Encoding: {packed}", f"X-Said: {KEY}")
    found = ask.one(get(serve(once(said)).url, Authorization=f"Bearer {KEY}"))
    assert type(found) is TransportFailed
    report = traceback.TracebackException.from_exception(found, capture_locals=True)
    assert KEY not in "".join(report.format())


# -- connections ------------------------------------------------------------------------------------


def test_many_calls_one_after_the_other_use_one_connection(ask: Any, serve: Any) -> None:
    server = serve()
    found = ask(*[server.url] * 50)
    assert [one.status for one in found] == [200] * 50
    assert server.connections == 1
    assert server.settles_at(0)


def test_a_connection_that_ended_badly_is_not_used_again(ask: Any, serve: Any) -> None:
    def behave(visit: Any) -> None:
        if visit.number == 1:
            visit.request()
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegins")
            visit.over.wait(10)
        while visit.request() is not None:
            visit.send(OK)

    server = serve(behave)
    first, second, third = ask(get(server.url, timeout=0.4), server.url, server.url)
    assert type(first) is CallTimedOut
    assert (second.body, third.body) == (b"ok", b"ok")
    assert server.connections == 2


def test_a_connection_the_server_closed_is_replaced_unnoticed(ask: Any, serve: Any) -> None:
    server = serve(once(reply(b"ok", "Connection: close")))
    assert [one.body for one in ask(*[server.url] * 3)] == [b"ok"] * 3
    assert server.connections == 3


def test_a_server_that_hangs_up_on_an_idle_connection_is_called_again(serve: Any) -> None:
    hang_up = threading.Event()

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(OK)
        if visit.number == 1:
            hang_up.wait(10)
        else:
            visit.over.wait(10)

    server = serve(behave)
    transport = BlockingTransport()
    drive(transport.send(get(server.url)))
    hang_up.set()
    assert server.settles_at(0)
    assert drive(transport.send(get(server.url))).status == 200
    drive(transport.close())
    assert server.connections == 2


def test_bytes_nobody_asked_for_are_not_the_next_reply(ask: Any, serve: Any) -> None:
    # A reply with another one behind it: the second belongs to nobody.
    def behave(visit: Any) -> None:
        while visit.request() is not None:
            visit.send(OK + reply(b"stale"))

    first, second, third = ask(*[serve(behave).url] * 3)
    assert (first.body, third.body) == (b"ok", b"ok")
    assert type(second) is TransportFailed
    assert "before its request" in str(second)


def test_two_origins_do_not_share_a_connection(ask: Any, serve: Any) -> None:
    one, two = serve(every(reply(b"one"))), serve(every(reply(b"two")))
    found = ask(one.url, two.url, one.url)
    assert [answer.body for answer in found] == [b"one", b"two", b"one"]


def test_after_a_close_nothing_is_sent(ask: Any, serve: Any) -> None:
    server = serve()
    transport = BlockingTransport()
    drive(transport.send(get(server.url)))
    drive(transport.close())
    drive(transport.close())
    with pytest.raises(ClientClosed):
        drive(transport.send(get(server.url)))
    assert server.settles_at(0)
    assert len(server.requests) == 1


def test_what_a_busy_minute_left_open_is_closed_in_the_quiet_after_it(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(5)

    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            if b"/busy" in request:
                together.wait(10)
            visit.send(OK)

    server = serve(behave)
    transport = BlockingTransport()
    in_threads(5, lambda _: drive(transport.send(get(server.url + "/busy"))))
    assert server.open == 5
    # Half a minute passes for connections, and for nothing else.
    monkeypatch.setattr(_wires, "KEEP_ALIVE", -1.0)
    drive(transport.send(get(server.url)))
    assert server.settles_at(0)
    drive(transport.close())


# -- many at once, in threads ------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What *work* came to in each of so many threads."""
    found: list[Any] = [None] * count

    def run(number: int) -> None:
        try:
            found[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - told to the test
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return found


def test_sixty_four_threads_share_a_transport_and_no_call_fails(serve: Any) -> None:
    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            visit.send(reply(request.split(b" ")[1]))

    server = serve(behave)
    transport = BlockingTransport(max_connections=16)

    def work(thread: int) -> int:
        right = 0
        for number in range(50):
            path = f"/{thread}/{number}"
            right += drive(transport.send(get(server.url + path))).body == path.encode()
        return right

    assert in_threads(64, work) == [50] * 64
    assert server.connections <= 16
    drive(transport.close())
    assert server.settles_at(0)


def test_no_more_connections_are_open_than_allowed(serve: Any) -> None:
    server = serve()
    transport = BlockingTransport(max_connections=3)
    in_threads(12, lambda _: [drive(transport.send(get(server.url))) for _ in range(5)])
    assert len(server.requests) == 60
    assert server.most_open <= 3
    drive(transport.close())


def test_who_waits_longest_for_a_connection_gets_the_next_one(serve: Any) -> None:
    # Newcomers that come back at once must not overtake those who wait.
    arrived: list[bytes] = []
    go_on = threading.Semaphore(0)

    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            arrived.append(request.split(b" ")[1])
            go_on.acquire()
            visit.send(OK)

    server = serve(behave)
    transport = BlockingTransport(max_connections=1)

    def twice(name: str) -> None:
        for number in (1, 2):
            drive(transport.send(get(f"{server.url}/{name}{number}")))

    threads = []
    for place, name in enumerate("abc"):
        threads.append(threading.Thread(target=twice, args=(name,)))
        threads[-1].start()
        wait_until(lambda place=place: len(transport._slots._queue) == place or arrived == [])
        wait_until(lambda place=place: len(transport._slots._queue) == place)
        wait_until(lambda: len(arrived) == 1)
    for _ in range(6):
        go_on.release()
    for thread in threads:
        thread.join(10)
    assert arrived == [b"/a1", b"/b1", b"/c1", b"/a2", b"/b2", b"/c2"]
    drive(transport.close())


def wait_until(true: Callable[[], bool], within: float = 5.0) -> None:
    ends = time.monotonic() + within
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_who_waits_in_vain_for_a_connection_is_told_that_nothing_was_sent(serve: Any) -> None:
    done = threading.Event()

    def behave(visit: Any) -> None:
        while visit.request() is not None:
            done.wait(10)
            visit.send(OK)

    server = serve(behave)
    transport = BlockingTransport(max_connections=1)
    holder = threading.Thread(target=lambda: drive(transport.send(get(server.url))))
    holder.start()
    wait_until(lambda: len(server.requests) == 1)
    with pytest.raises(NoFreeConnection, match=r"no free connection within 0\.05 s"):
        drive(transport.send(get(server.url, timeout=0.05)))
    done.set()
    holder.join(10)
    # The place in the queue was given up, so the next one does not wait for it.
    assert drive(transport.send(get(server.url))).status == 200
    drive(transport.close())


def test_a_transport_closed_while_a_call_is_under_way_keeps_nothing_open(serve: Any) -> None:
    go_on = threading.Event()

    def behave(visit: Any) -> None:
        while visit.request() is not None:
            go_on.wait(10)
            visit.send(OK)

    server = serve(behave)
    transport = BlockingTransport()
    found: list[Reply] = []
    caller = threading.Thread(target=lambda: found.append(drive(transport.send(get(server.url)))))
    caller.start()
    wait_until(lambda: len(server.requests) == 1)
    drive(transport.close())
    go_on.set()
    caller.join(10)
    assert [one.status for one in found] == [200]
    assert server.settles_at(0)


def test_an_interrupt_while_waiting_in_the_queue_leaves_every_place_usable() -> None:
    from novitai_sdk._transport._blocking import Slots

    class Interrupted(Slots):
        """The place is handed over and the interrupt comes before it is taken."""

    slots = Slots(1)
    assert slots.take(0.0)
    waited = threading.Event()
    outcome: list[object] = []

    class Turn:
        def __init__(self, handed_over: bool) -> None:
            self.handed_over = handed_over

        def acquire(self, timeout: float | None = None) -> bool:
            if timeout is None:
                return True
            waited.set()
            if self.handed_over:
                slots.give()
            raise KeyboardInterrupt

        def release(self) -> None:
            """Handed over to nobody."""

    import novitai_sdk._transport._blocking as module

    real = module.threading.Lock
    for handed_over in (False, True):
        module.threading.Lock = lambda handed_over=handed_over: Turn(handed_over)  # type: ignore[assignment,misc,return-value]  # a lock that is interrupted
        try:
            slots.take(1.0)
        except KeyboardInterrupt:
            outcome.append(handed_over)
        finally:
            module.threading.Lock = real  # type: ignore[misc]
    assert outcome == [False, True]
    # In the first case the place is still held by its owner, in the second it came back.
    assert slots.take(0.0)
    assert not slots.take(0.01)


# -- the environment ---------------------------------------------------------------------------------


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return setenv


def test_a_proxy_of_the_environment_carries_plain_requests(
    ask: Any, serve: Any, proxied: Any
) -> None:
    proxy = serve(every(reply(b"by proxy")))
    proxied(HTTP_PROXY=f"127.0.0.1:{proxy.port}")
    assert ask.one("http://cloud.test/x").body == b"by proxy"
    assert proxy.requests[0].startswith(b"GET http://cloud.test/x HTTP/1.1\r\n")
    assert b"Host: cloud.test\r\n" in proxy.requests[0]


def test_a_proxy_is_told_name_and_password_of_the_variable(
    ask: Any, serve: Any, proxied: Any
) -> None:
    proxy = serve()
    proxied(ALL_PROXY=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    assert ask.one("http://cloud.test/").status == 200
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==" in proxy.requests[0]


def test_no_proxy_is_honoured(ask: Any, serve: Any, proxied: Any, nobody: str) -> None:
    proxied(HTTP_PROXY=nobody, NO_PROXY="127.0.0.1")
    assert ask.one(serve().url).body == b"ok"


@pytest.mark.parametrize(
    "named",
    ["http://me:secret-pass@[broken", "http://me:secret-pass@host:port", "ftp://me:secret-pass@h"],
)
def test_a_proxy_that_makes_no_sense_is_said_so_without_its_password(
    ask: Any, proxied: Any, named: str
) -> None:
    proxied(HTTP_PROXY=named)
    found = ask.one("http://cloud.test/")
    assert type(found) is ConnectFailed
    assert "proxy of the environment" in str(found)
    report = traceback.TracebackException.from_exception(found, capture_locals=False)
    assert "secret-pass" not in "".join(report.format())


def test_a_socks_proxy_without_its_package_says_what_to_install(ask: Any, proxied: Any) -> None:
    proxied(ALL_PROXY="socks5://127.0.0.1:1080")
    found = ask.one("http://cloud.test/")
    assert type(found) is ConnectFailed
    assert "httpx[socks]" in str(found)


def test_a_socks_proxy_is_told_name_and_password(
    ask: Any, serve: Any, proxied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def recording(plain: Any) -> Any:
        def make(url: Any, auth: Any, **options: Any) -> Any:
            asked.append((bytes(url), auth))
            return plain(**options)

        return make

    # The package that speaks SOCKS is no dependency; what would be given to it is.
    monkeypatch.setattr(_wires, "find_spec", lambda _: object())
    monkeypatch.setattr(httpcore, "SOCKSProxy", recording(httpcore.ConnectionPool))
    monkeypatch.setattr(httpcore, "AsyncSOCKSProxy", recording(httpcore.AsyncConnectionPool))
    proxied(ALL_PROXY="socks5://me:pass@127.0.0.1:1080")
    assert ask.one(serve().url).body == b"ok"
    assert asked == [(b"socks5://127.0.0.1:1080/", (b"me", b"pass"))]


# -- TLS --------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, trusted by the transport."""
    trust = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
    for module in (_wires,):
        monkeypatch.setattr(module, "_trust", lambda http2=False: trust)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return server


def over_tls(context: ssl.SSLContext, behave: Callable[[Any], None]) -> Callable[[Any], None]:
    def begin(visit: Any) -> None:
        try:
            visit.wrap(context)
        except OSError:
            return
        behave(visit)

    return begin


def test_a_trusted_server_is_spoken_to_over_tls(ask: Any, serve: Any, trusted: Any) -> None:
    server = serve(over_tls(trusted, every(OK)))
    found = ask(*[f"https://127.0.0.1:{server.port}/"] * 3)
    assert [one.body for one in found] == [b"ok"] * 3
    assert server.connections == 1
    assert server.settles_at(0)


def test_a_server_nobody_vouches_for_gets_nothing(ask: Any, serve: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    server = serve(over_tls(context, every(OK)))
    found = ask.one(f"https://127.0.0.1:{server.port}/")
    assert type(found) is ConnectFailed
    assert "CERTIFICATE_VERIFY_FAILED" in str(found)
    assert server.requests == []
    assert server.settles_at(0)


def test_a_handshake_without_end_meets_the_deadline_and_leaves_no_socket(
    ask: Any, serve: Any, at_most: Any, trusted: Any
) -> None:
    server = serve(stay)
    with at_most(2.0):
        found = ask.one(get(f"https://127.0.0.1:{server.port}/", timeout=0.1))
    assert type(found) is ConnectFailed
    assert server.settles_at(0)


def tunnel(answer: bytes, then: Callable[[Any], None]) -> Callable[[Any], None]:
    """A proxy that is the far end of its own tunnel."""

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(answer)
        then(visit)

    return behave


def test_a_proxy_carries_a_tunnel_and_does_not_see_the_key(
    ask: Any, serve: Any, trusted: Any, proxied: Any
) -> None:
    far_end = tunnel(b"HTTP/1.1 200 OK\r\n\r\n", over_tls(trusted, every(OK)))
    proxy = serve(far_end)
    proxied(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    asked = get("https://cloud.test/", Authorization=f"Bearer {KEY}")
    first, second = ask(asked, asked)
    assert (first.body, second.body) == (b"ok", b"ok")
    assert proxy.requests[0].startswith(b"CONNECT cloud.test:443 ")
    assert KEY.encode() not in proxy.requests[0]
    assert proxy.connections == 1


def test_a_proxy_that_refuses_the_tunnel_means_nothing_was_sent(
    ask: Any, serve: Any, trusted: Any, proxied: Any
) -> None:
    proxy = serve(tunnel(reply(b"", status="403 Forbidden"), stay))
    proxied(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    found = ask.one("https://cloud.test/")
    assert type(found) is ConnectFailed
    assert "403" in str(found)


def test_a_tunnel_whose_far_end_fails_the_handshake_means_nothing_was_sent(
    ask: Any, serve: Any, trusted: Any, proxied: Any
) -> None:
    proxy = serve(tunnel(b"HTTP/1.1 200 OK\r\n\r\n", lambda visit: visit.close()))
    proxied(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    assert type(ask.one("https://cloud.test/")) is ConnectFailed


def test_the_trust_store_is_read_once() -> None:
    assert _wires._trust() is _wires._trust()


# -- after a fork -----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_connections_of_its_own_and_every_slot(serve: Any) -> None:
    script = """
import os, sys, threading, warnings
from novitai_sdk._calling import Async, Sync, drive
from novitai_sdk._transport import AsyncTransport, BlockingTransport, Request

def get(path):
    return Request(method="GET", url=sys.argv[1] + path, timeout=5.0)

transport = BlockingTransport(max_connections=2)
holder = threading.Thread(target=lambda: drive(transport.send(get("/slow"))))
holder.start()
while transport._slots._free != 1:
    pass
assert drive(transport.send(get("/parent"))).body == b"ok"
child = os.fork()
if child == 0:
    warnings.simplefilter("error")
    # Both slots are free here, though the parent holds one; its connection is left alone.
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(drive(transport.send(get("/child"))).body))
        for _ in range(2)
    ]
    [thread.start() for thread in threads]
    [thread.join(5) for thread in threads]
    drive(transport.close())
    sys.exit(0 if done == [b"ok", b"ok"] else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert drive(transport.send(get("/parent"))).body == b"ok"
drive(transport.send(get("/go")))
holder.join(5)
drive(transport.close())
print("fine")
"""
    import subprocess
    import sys

    go_on = threading.Event()
    by_path: dict[bytes, set[int]] = {}

    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            path = request.split(b" ")[1]
            by_path.setdefault(path, set()).add(visit.number)
            if path == b"/go":
                go_on.set()
            if path == b"/slow":
                go_on.wait(10)
            visit.send(OK)

    server = serve(behave)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            script,
            server.url,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
    assert by_path[b"/parent"].isdisjoint(by_path[b"/child"])
