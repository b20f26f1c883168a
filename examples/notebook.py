"""What a notebook does: a plain client in a process whose event loop is already running.

A notebook kernel runs every cell inside its loop, where asyncio.run() is refused. The plain client has no loop to
start, so its calls just return, and the kernel's stop button in the middle of one gives the machine back.

Runs on the emulator that comes with the library; no key, no cost.
"""

import asyncio

from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator


async def cell() -> None:
    """Stand for a cell: the code in it is plain, the loop around it runs."""
    with (
        Emulator() as cloud,
        Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client,
        client.instances.rent(
            name="notebook",
            product_name="RTX 4090 24GB",
            template_id="tf-training-template-1",
            region="US-WEST-01",
            progress=True,
        ) as instance,
    ):
        running = asyncio.get_running_loop().is_running()
        print(f"{instance.name} is {instance.status} while a loop runs: {running}")
    print("Given back.")


if __name__ == "__main__":
    asyncio.run(cell())
