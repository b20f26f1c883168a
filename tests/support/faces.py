"""One story, told on every face of the library.

A story is an `async def` that takes a client and `done`: it awaits `done(client.something(...))`, and gets the
result whether the call returned it or has to be awaited. On the plain client without a loop the story itself is
driven, so that nothing in it can hide a loop.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio.testing

from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk._calling import drive
from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import LoopClock, MemoryNetwork

FACES = ("plain", "plain in a running loop", "asyncio", "trio")

WANTED: dict[str, Any] = {
    "name": "my-gpu-instance",
    "product_name": "RTX 4090 24GB",
    "template_id": "tf-training-template-1",
    "gpu_num": 2,
    "rootfs_size": 100,
    "region": "US-WEST-01",
}

Story = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]


async def done(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


class Face:
    """Tells stories to one kind of client, against one emulator over real sockets."""

    def __init__(self, name: str, cloud: Emulator) -> None:
        self.name = name
        self.cloud = cloud

    def tell(self, story: Story, **options: Any) -> Any:
        options = {
            "api_key": self.cloud.api_key,
            "base_url": self.cloud.base_url,
            "store": "memory",
            "poll_interval": 0.01,
            **options,
        }
        if self.name == "plain":
            return drive(self._plain(story, options))
        if self.name == "plain in a running loop":
            return asyncio.run(self._plain(story, options))
        return anyio.run(self._awaited, story, options, backend=self.name)

    async def _plain(self, story: Story, options: dict[str, Any]) -> Any:
        with Novitai(**options) as client:
            return await story(client, done)

    async def _awaited(self, story: Story, options: dict[str, Any]) -> Any:
        async with AsyncNovitai(**options) as client:
            return await story(client, done)


class SetClock(LoopClock):
    """A virtual clock whose wall time is set now and then."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Years:
    """An awaiting client on virtual time: hours pass in milliseconds, and nothing ever sleeps for real."""

    def tell(
        self, story: Callable[[AsyncNovitai, Emulator], Awaitable[Any]], **options: Any
    ) -> Any:
        emulated = {key: options.pop(key) for key in ("life", "quirks") if key in options}

        async def main() -> Any:
            clock = LoopClock()
            emulator = Emulator(clock=clock, **{"life": 60.0, **emulated})
            options.setdefault("store", "memory")
            async with AsyncNovitai(
                api_key=emulator.api_key, network=MemoryNetwork(emulator), clock=clock, **options
            ) as client:
                return await story(client, emulator)

        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
