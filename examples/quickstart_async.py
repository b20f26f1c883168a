"""The same as quickstart.py, awaited: three machines at once, each given back whatever happens.

Runs on the emulator that comes with the library; no key, no cost.
"""

import anyio

from novitai_sdk import AsyncNovitai
from novitai_sdk.emulator import Emulator


async def use(client: AsyncNovitai, number: int) -> None:
    """Rent one machine, use it, and leave: the block deletes it and sees that it is gone."""
    async with client.instances.rent(
        name=f"worker-{number}",
        product_name="RTX 4090 24GB",
        template_id="tf-training-template-1",
        region="US-WEST-01",
        timeout=60,
    ) as instance:
        reach = instance.connection_details
        print(f"{instance.name} is {instance.status}: {reach.ssh if reach else 'no ssh'}")


async def main() -> None:
    """Rent three machines at the same time, then show that none is left."""
    with Emulator() as cloud:
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory"
        ) as client:
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(use, client, number)
            left = await client.instances.list(include_unmanaged=True)
            print(f"Machines left: {len(left)}")


if __name__ == "__main__":
    anyio.run(main)  # or anyio.run(main, backend="trio"), or asyncio.run(main())
