"""What a typed call costs beside httpx by hand and beside novita-sdk: alone, a hundred at once, in a hundred threads.

    python benchmarks/calls.py [rounds]

One instance of 2.5 KB is read over loopback from a server in a process of its own. Ours checks every value and builds
models; httpx stops at ``.json()``; novita-sdk builds pydantic models.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from measuring import Side, compare, ratio
from novita import AsyncNovitaClient, NovitaClient
from server import running

from novitai_sdk import AsyncNovitai, Novitai

PATH = "/gpu-instance/openapi/v1/gpu/instance"
ID = "9cd0cad06def7a82"
KEY = "sk-benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
ALONE = 150
AT_ONCE = 100
EACH = 3


def times(count: int, call: Callable[[], object]) -> Side:
    def side() -> int:
        for _ in range(count):
            call()
        return count

    return side


def in_threads(pool: ThreadPoolExecutor, call: Callable[[], object]) -> Side:
    def side() -> int:
        for done in [pool.submit(times(EACH, call)) for _ in range(AT_ONCE)]:
            done.result()
        return AT_ONCE * EACH

    return side


def awaited(
    loop: asyncio.AbstractEventLoop, callers: int, each: int, call: Callable[[], Awaitable[object]]
) -> Side:
    async def caller() -> None:
        for _ in range(each):
            await call()

    async def all_callers() -> None:
        await asyncio.gather(*(caller() for _ in range(callers)))

    def side() -> int:
        loop.run_until_complete(all_callers())
        return callers * each

    return side


def plain(base_url: str, rounds: int) -> None:
    ours, by_hand, theirs = "novitai_sdk", "httpx.Client.get().json()", "novita-sdk"
    with (
        Novitai(api_key=KEY, base_url=base_url, store="memory", rate_limit=None) as client,
        httpx.Client(base_url=base_url, headers=HEADERS) as web,
        NovitaClient(api_key=KEY, base_url=base_url) as other,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def typed() -> object:
            return client.cloud.instances.get(ID)

        def untyped() -> object:
            return web.get(PATH, params={"instanceId": ID}).json()

        def validated() -> object:
            return other.gpu.instances.get(ID)

        found = compare(
            "One plain call after another",
            {
                ours: times(ALONE, typed),
                by_hand: times(ALONE, untyped),
                theirs: times(ALONE, validated),
            },
            rounds,
        )
        ratio(found, ours, by_hand, 0.80)
        ratio(found, ours, theirs, 0.70)
        found = compare(
            "A hundred threads on one plain client",
            {ours: in_threads(pool, typed), by_hand: in_threads(pool, untyped)},
            rounds,
        )
        ratio(found, ours, by_hand, 1.00)


def asynchronous(base_url: str, rounds: int) -> None:
    ours, by_hand, theirs = "novitai_sdk", "httpx.AsyncClient.get().json()", "novita-sdk"
    alone = "novitai_sdk, one caller"
    loop = asyncio.new_event_loop()
    client = AsyncNovitai(api_key=KEY, base_url=base_url, store="memory", rate_limit=None)
    web = httpx.AsyncClient(base_url=base_url, headers=HEADERS)
    other = AsyncNovitaClient(api_key=KEY, base_url=base_url)

    async def untyped() -> object:
        return (await web.get(PATH, params={"instanceId": ID})).json()

    def typed() -> Awaitable[object]:
        return client.cloud.instances.get(ID)

    def validated() -> Awaitable[object]:
        return other.gpu.instances.get(ID)

    found = compare(
        "One awaited call after another",
        {
            ours: awaited(loop, 1, ALONE, typed),
            by_hand: awaited(loop, 1, ALONE, untyped),
            theirs: awaited(loop, 1, ALONE, validated),
        },
        rounds,
    )
    ratio(found, ours, by_hand, 0.85)
    ratio(found, ours, theirs, 0.75)
    found = compare(
        "A hundred callers at once on one loop",
        {
            ours: awaited(loop, AT_ONCE, EACH, typed),
            alone: awaited(loop, 1, AT_ONCE * EACH, typed),
            by_hand: awaited(loop, AT_ONCE, EACH, untyped),
            theirs: awaited(loop, AT_ONCE, EACH, validated),
        },
        rounds,
    )
    ratio(found, ours, alone, 1.25)
    ratio(found, ours, by_hand, 0.50)
    ratio(found, ours, theirs, 0.25)
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(web.aclose())
    loop.run_until_complete(other.aclose())
    loop.close()


def main(rounds: int) -> None:
    with running() as base_url:
        plain(base_url, rounds)
        asynchronous(base_url, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
