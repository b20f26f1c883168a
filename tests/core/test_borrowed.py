"""Clients of httpx that somebody else configured, and other engines behind the port."""

import gzip
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from moments import block_until

from novitai_sdk import AsyncNovitai, ConnectFailed, Novitai, SettingsError
from novitai_sdk._calling import drive
from novitai_sdk._transport import (
    BorrowedAsyncTransport,
    BorrowedTransport,
    InThreads,
    LoopOfOrigin,
    Reply,
    Request,
    _wires,
)
from novitai_sdk.cloud import CreateInstance
from novitai_sdk.cloud._refusals import read_refusal
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import (
    ApiError,
    CallTimedOut,
    ClientClosed,
    JobError,
    NoFreeConnection,
    TransportFailed,
)
from novitai_sdk.transport import Async, Sync

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WANTED = {
    "name": "n",
    "product_name": "RTX 4090 24GB",
    "template_id": "tf-training-template-1",
    "region": "US-WEST-01",
}


def every(data: bytes) -> Callable[[Any], None]:
    def behave(visit: Any) -> None:
        while visit.request() is not None:
            visit.send(data)

    return behave


class Borrower:
    """Sends one request after the other over a client of httpx, on one face."""

    def __init__(self, face: str) -> None:
        self.face = face

    def __call__(self, *requests: Request, **options: Any) -> list[Reply | Exception]:
        if self.face == "plain":
            with httpx.Client(**options) as client:
                found = drive(self._ask(BorrowedTransport(client), requests))
                assert not client.is_closed
                return found
        return anyio.run(self._awaiting, requests, options, backend=self.face)

    async def _awaiting(self, requests: Any, options: dict[str, Any]) -> list[Reply | Exception]:
        async with httpx.AsyncClient(**options) as client:
            found = await self._ask(BorrowedAsyncTransport(client, LoopOfOrigin()), requests)
            assert not client.is_closed
            return found

    async def _ask(self, transport: Any, requests: Any) -> list[Reply | Exception]:
        found: list[Reply | Exception] = []
        for request in requests:
            try:
                found.append(await transport.send(request))
            except Exception as error:  # noqa: BLE001 - how it ends is what is asked
                found.append(error)
        await transport.close()
        with pytest.raises(ClientClosed):
            await transport.send(requests[0])
        return found

    def one(self, request: Request, **options: Any) -> Any:
        return self(request, **options)[0]


@pytest.fixture(params=["plain", "asyncio", "trio"])
def borrow(request: pytest.FixtureRequest) -> Borrower:
    return Borrower(request.param)


def get(url: str, timeout: float = 5.0, **headers: str) -> Request:
    return Request(method="GET", url=url, headers=headers, timeout=timeout)


def test_requests_go_over_its_connections_with_our_headers(borrow: Any, serve: Any) -> None:
    server = serve()
    found = borrow(
        get(server.url + "/a?b=c", **{"User-Agent": "ours", "Authorization": "Bearer k"}),
        Request(method="POST", url=server.url, content=b"{}", headers={"User-Agent": "ours"}),
        headers={"User-Agent": "theirs", "X-Team": "blue", "Accept-Encoding": "br"},
        auth=("name", "password"),
    )
    assert [one.body for one in found] == [b"ok", b"ok"]
    first, second = server.requests
    assert first.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    lowered = first.lower()
    assert b"user-agent: ours\r\n" in lowered
    assert b"x-team: blue\r\n" in lowered
    assert b"accept-encoding: gzip\r\n" in lowered
    assert b"authorization: bearer k\r\n" in lowered
    assert b"basic" not in lowered + second.lower()
    assert second.endswith(b"\r\n\r\n{}")
    assert server.connections == 1


def test_its_proxy_carries_them(borrow: Any, serve: Any) -> None:
    proxy = serve()
    assert borrow.one(get("http://cloud.test/x"), proxy=proxy.url).body == b"ok"
    assert proxy.requests[0].startswith(b"GET http://cloud.test/x ")


def test_redirects_are_handed_back_though_it_would_follow_them(borrow: Any, serve: Any) -> None:
    elsewhere = serve()
    answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
    server = serve(every(answer.encode()))
    found = borrow.one(get(server.url, Authorization="Bearer k"), follow_redirects=True)
    assert (found.status, found.headers["location"]) == (302, f"{elsewhere.url}/")
    assert elsewhere.requests == []


def test_where_nobody_listens_nothing_was_sent(borrow: Any) -> None:
    found = borrow.one(get("http://127.0.0.1:1/"))
    assert type(found) is ConnectFailed


def test_an_answer_that_breaks_off_may_have_had_its_effect(borrow: Any, serve: Any) -> None:
    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")

    assert type(borrow.one(get(serve(behave).url))) is TransportFailed


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 1000 Bearer sk-repeated " + b"y" * 60_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nX-Said: sk-repeated\r\nContent-Length: 1\r\n\r\n-",
    ],
    ids=["its status", "its packing"],
)
def test_an_answer_that_makes_no_sense_is_not_repeated_to_its_end_nor_shown_in_locals(
    borrow: Any, serve: Any, answer: bytes
) -> None:
    found = borrow.one(get(serve(every(answer)).url, Authorization="Bearer sk-repeated"))
    assert type(found) is TransportFailed
    assert len("".join(traceback.format_exception(found))) < 5000
    report = traceback.TracebackException.from_exception(found, capture_locals=True)
    shown = [frame.locals for frame in report.stack if frame.filename != __file__]
    assert "sk-repeated" not in str(shown)


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n-",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"-" * 20,
    ],
    ids=["packed otherwise", "not packed at all"],
)
def test_an_answer_that_cannot_be_unpacked_spoils_none_of_its_connections(
    borrow: Any, serve: Any, bad: bytes
) -> None:
    def behave(visit: Any) -> None:
        while visit.request() is not None:
            visit.send(bad if visit.number == 1 else OK)

    url = serve(behave).url
    first, *others = borrow(get(url), get(url), get(url))
    assert type(first) is TransportFailed
    assert [one.body for one in others] == [b"ok", b"ok"]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", OK[:-1]])
def test_an_answer_that_does_not_come_meets_the_deadline(
    borrow: Any, serve: Any, at_most: Any, said: bytes
) -> None:
    def behave(visit: Any) -> None:
        visit.request()
        visit.send(said)
        visit.over.wait(10)

    with at_most(3.0):
        assert type(borrow.one(get(serve(behave).url, timeout=0.3))) is CallTimedOut


def test_a_body_that_drips_meets_the_deadline(borrow: Any, serve: Any, at_most: Any) -> None:
    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not visit.over.wait(0.02) and visit.send(b"x"):
            pass

    with at_most(3.0):
        assert type(borrow.one(get(serve(behave).url, timeout=0.3))) is CallTimedOut


def test_a_reply_that_never_ends_is_bounded(
    borrow: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wires, "LARGEST_REPLY", 100_000)

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        while visit.send(b"x" * 65_536):
            pass

    found = borrow.one(get(serve(behave).url))
    assert type(found) is TransportFailed
    assert "larger than" in str(found)


def test_a_hook_that_refuses_the_answer_is_a_failure_like_any_other(
    borrow: Any, serve: Any
) -> None:
    def plain(response: httpx.Response) -> None:
        raise httpx.HTTPStatusError("not that", request=response.request, response=response)

    async def awaiting(response: httpx.Response) -> None:
        plain(response)

    hooks = {"response": [plain if borrow.face == "plain" else awaiting]}
    assert type(borrow.one(get(serve().url), event_hooks=hooks)) is TransportFailed


def hooks_of(borrow: Any, hook: Callable[[httpx.Response], object]) -> dict[str, Any]:
    async def awaiting(response: httpx.Response) -> None:
        hook(response)

    return {"event_hooks": {"response": [hook if borrow.face == "plain" else awaiting]}}


def asks_elsewhere(response: httpx.Response) -> None:
    httpx.post("http://127.0.0.1:1/audit")


def says_it_was_ours(response: httpx.Response) -> None:
    raise httpx.ConnectError("the audit is down", request=response.request)


def has_no_place_left(response: httpx.Response) -> None:
    raise httpx.PoolTimeout("the audit is busy", request=response.request)


def says_nothing_of_whose(response: httpx.Response) -> None:
    raise httpx.ProxyError("the audit is behind a proxy")


def asks_with_another_client_of_ours(response: httpx.Response) -> None:
    raise ConnectFailed("the audit is down")


HOOKS = [
    asks_elsewhere, says_it_was_ours, has_no_place_left, says_nothing_of_whose, asks_with_another_client_of_ours,
]  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_what_a_hook_could_not_reach_does_not_make_our_request_unsent(
    borrow: Any, serve: Any, hook: Any
) -> None:
    found = borrow.one(get(serve().url), **hooks_of(borrow, hook))
    assert isinstance(found, TransportFailed)
    assert not isinstance(found, ConnectFailed)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_where_an_engine_tells_nothing_its_requests_count_as_sent(borrow: Any, kind: Any) -> None:
    def carry(request: httpx.Request) -> httpx.Response:
        raise kind("perhaps", request=request)

    found = borrow.one(get("http://cloud.test/"), transport=httpx.MockTransport(carry))
    assert isinstance(found, TransportFailed)
    assert not isinstance(found, ConnectFailed)


def test_a_create_whose_answer_met_a_broken_hook_is_not_sent_again(cloud: Emulator) -> None:
    def hook(response: httpx.Response) -> None:
        if response.request.url.path.endswith("/create"):
            asks_elsewhere(response)

    body = CreateInstance(product_id="4090.16c62g", image_url="a/b:1", gpu_num=1, rootfs_size=60)
    with (
        httpx.Client(event_hooks={"response": [hook]}) as mine,
        Novitai(**options(cloud), http_client=mine) as client,
        pytest.raises(TransportFailed) as caught,
    ):
        client.cloud.instances.create(body)
    assert caught.value.resend_safe is False
    assert len(cloud.instances) == 1


def test_a_proxy_that_makes_no_tunnel_sent_nothing(borrow: Any, serve: Any) -> None:
    proxy = serve(every(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
    assert type(borrow.one(get("https://cloud.test/x"), proxy=proxy.url)) is ConnectFailed
    assert proxy.requests[0].startswith(b"CONNECT ")


def test_a_name_that_is_no_url_sent_nothing(borrow: Any) -> None:
    assert type(borrow.one(get("http://cloud.test:port/"))) is ConnectFailed


def test_where_no_connection_came_free_nothing_was_sent(serve: Any) -> None:
    server = serve()
    with (
        httpx.Client(limits=httpx.Limits(max_connections=1)) as client,
        client.stream("GET", server.url),
        pytest.raises(NoFreeConnection, match="nothing was sent"),
    ):
        drive(BorrowedTransport(client).send(get(server.url, timeout=0.1)))
    assert len(server.requests) == 1


PACKED = gzip.compress(b'{"message": "not today"}')


@pytest.mark.parametrize("status", [200, 404])
def test_a_hook_may_read_the_answer_first(borrow: Any, serve: Any, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\nContent-Length: {len(PACKED)}\r\n\r\n"
    server = serve(every(head.encode() + PACKED))
    found = borrow.one(get(server.url), **reading_hooks(borrow))
    assert (found.status, found.body) == (status, b'{"message": "not today"}')


def test_what_a_hook_read_is_bounded_too(
    borrow: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wires, "LARGEST_REPLY", 1)
    found = borrow.one(get(serve().url), **reading_hooks(borrow))
    assert type(found) is TransportFailed
    assert "larger than" in str(found)


def test_a_refusal_raised_by_a_hook_that_read_it_is_that_refusal(borrow: Any, serve: Any) -> None:
    answer = b"HTTP/1.1 404 X\r\nX-Request-Id: r-1\r\nContent-Length: 4\r\n\r\ngone"
    found = borrow.one(get(serve(every(answer)).url), **reading_hooks(borrow, strict=True))
    assert (found.status, found.headers["x-request-id"], found.body) == (404, "r-1", b"gone")


def test_a_refusal_raised_before_it_was_read_proves_nothing_gone(borrow: Any, serve: Any) -> None:
    server = serve(every(b"HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\ngone"))
    strict = hooks_of(borrow, lambda response: response.raise_for_status())
    found = borrow.one(get(server.url), **strict)
    assert found.status == 404
    assert type(read_refusal(found.status, found.headers, found.body, now=0.0).error()) is ApiError


def test_a_refusal_of_what_a_hook_asked_elsewhere_is_not_the_answer(
    borrow: Any, serve: Any
) -> None:
    other = serve(every(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"))

    def audits(response: httpx.Response) -> None:
        httpx.get(other.url).raise_for_status()

    assert type(borrow.one(get(serve().url), **hooks_of(borrow, audits))) is TransportFailed


def reading_hooks(borrow: Any, strict: bool = False) -> dict[str, Any]:
    """Hooks as httpx documents them: they read the answer, and may raise for its status."""

    def plain(response: httpx.Response) -> None:
        response.read()
        if strict:
            response.raise_for_status()

    async def awaiting(response: httpx.Response) -> None:
        await response.aread()
        if strict:
            response.raise_for_status()

    return {"event_hooks": {"response": [plain if borrow.face == "plain" else awaiting]}}


# -- clients -----------------------------------------------------------------------------------------


@pytest.fixture
def cloud() -> Iterator[Emulator]:
    with Emulator(life=0.2) as emulator:
        yield emulator


def options(cloud: Emulator, **more: Any) -> dict[str, Any]:
    return {
        "api_key": cloud.api_key,
        "base_url": cloud.base_url,
        "store": "memory",
        "poll_interval": 0.01,
        **more,
    }


def test_a_client_and_its_jobs_speak_through_the_one_it_was_given(cloud: Emulator) -> None:
    asked: list[str] = []
    hooks = {"request": [lambda request: asked.append(request.url.path)]}
    with httpx.Client(event_hooks=hooks) as mine:
        with Novitai(**options(cloud), http_client=mine) as client:
            instance = client.instances.create(**WANTED).wait_until_ready(timeout=30)
            instance.delete()
        assert not mine.is_closed
    assert sum(path.endswith("/instance/create") for path in asked) == 1
    assert sum(path.endswith("/instance/delete") for path in asked) == 1
    assert len(asked) == len(cloud.requests)


@pytest.mark.anyio
async def test_an_awaiting_client_does_so_in_its_block(cloud: Emulator) -> None:
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(request.url.path)

    async with httpx.AsyncClient(event_hooks={"request": [note]}) as mine:
        async with AsyncNovitai(**options(cloud), http_client=mine) as client:
            instance = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=30)
            await instance.delete()
        assert not mine.is_closed
    assert len(asked) == len(cloud.requests)


@pytest.mark.anyio
async def test_outside_a_block_its_jobs_do_not_take_its_connections_into_another_loop(
    cloud: Emulator,
) -> None:
    async with httpx.AsyncClient() as mine:
        client = AsyncNovitai(**options(cloud), http_client=mine)
        try:
            instance = await client.instances.create(**WANTED)
            with pytest.raises(JobError, match="another event loop") as caught:
                await instance.wait_until_ready(timeout=30)
            assert isinstance(caught.value.__cause__, SettingsError)
            assert (await client.cloud.instances.list()) == ()
        finally:
            await client.aclose()


class Counting:
    """Another engine: it counts what it carries, and leaves the rest to ours."""

    def __init__(self, inner: Any) -> None:
        self.mode = inner.mode
        self.inner = inner
        self.carried = 0

    async def send(self, request: Request) -> Reply:
        self.carried += 1
        return await self.inner.send(request)

    async def close(self) -> None:
        await self.inner.close()


def test_another_engine_carries_a_plain_client_and_its_jobs(cloud: Emulator) -> None:
    from novitai_sdk._transport import BlockingTransport

    engine = Counting(BlockingTransport())
    with Novitai(**options(cloud), transport=engine) as client:
        client.instances.create(**WANTED).wait_until_ready(timeout=30)
    assert engine.carried == len(cloud.requests) > 3


@pytest.mark.anyio
async def test_another_engine_carries_an_awaiting_client_and_its_jobs(cloud: Emulator) -> None:
    from novitai_sdk._transport import AsyncTransport

    engine = Counting(AsyncTransport())
    async with AsyncNovitai(**options(cloud), transport=engine) as client:
        await (await client.instances.create(**WANTED)).wait_until_ready(timeout=30)
    assert engine.carried == len(cloud.requests) > 3


def test_what_does_not_fit_is_refused() -> None:
    from novitai_sdk._transport import BlockingTransport

    with (
        httpx.Client() as plain,
        pytest.raises(TypeError, match=r"an httpx\.AsyncClient, not Client"),
    ):
        AsyncNovitai(api_key="k", store="memory", http_client=plain)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"an httpx\.Client, not str"):
        Novitai(api_key="k", store="memory", http_client="http://proxy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="of mode Async"):
        AsyncNovitai(api_key="k", store="memory", transport=BlockingTransport())  # type: ignore[arg-type]
    with httpx.Client() as plain, pytest.raises(TypeError, match="give one of"):
        Novitai(api_key="k", store="memory", http_client=plain, transport=BlockingTransport())


# -- plain transports for the job runner -------------------------------------------------------------


@pytest.mark.anyio
async def test_a_cancelled_request_does_not_hold_up_its_task() -> None:
    release, begun = threading.Event(), threading.Event()

    class Slow:
        mode = Sync

        async def send(self, request: Request) -> Reply:
            begun.set()
            release.wait(10)
            return Reply(status=200)

        async def close(self) -> None: ...

    transport = InThreads(Slow(), 1)
    assert transport.mode is Async
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, get("http://x/"))
            await anyio.to_thread.run_sync(begun.wait, 10)
            tasks.cancel_scope.cancel()
    finally:
        release.set()
    await transport.close()
    with pytest.raises(ClientClosed):
        await transport.send(get("http://x/"))
    await anyio.to_thread.run_sync(block_until, lambda: True)
