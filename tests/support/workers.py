"""What other processes do in a test. They find it by name, as they do not find what stands in a test file."""

from faces import WANTED

from novitai_sdk import Novitai


def wait_in_vain(key: str, url: str) -> None:
    """Rent a machine, and wait for it for less time than it needs."""
    with Novitai(api_key=key, base_url=url, store="memory", drain=0.1) as client:
        client.instances.create(**WANTED).wait_until_ready(timeout=0.3)
