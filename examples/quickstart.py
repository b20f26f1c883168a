"""Rent a GPU instance, be told when it is ready, and give it back.

Without a key in the environment this uses the emulator that comes with the library: real HTTP on this machine, no
cost. With NOVITA_API_KEY set it rents for real, after it has shown the price and asked.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from queue import Empty, Queue
from socketserver import TCPServer
from threading import Thread

from novitai_sdk import (
    CreateInstanceRequest,
    InstanceDetails,
    Novitai,
    Settings,
    SignatureInvalid,
)
from novitai_sdk.emulator import Emulator
from novitai_sdk.instances import WaitProgress
from novitai_sdk.webhooks import Received, new_secret, verify


def main() -> int:
    """Set the stage: an account, a receiver of webhooks, and a client that signs for it."""
    with account() as settings, Receiver() as receiver:
        settings = settings.but(
            webhook_secrets=receiver.secret,
            webhook_allow_http=True,  # the receiver is on this machine
            webhook_allow_networks=["127.0.0.0/8"],
        )
        with Novitai(settings=settings) as client:
            return rent_one(client, receiver)


def rent_one(client: Novitai, receiver: "Receiver") -> int:
    """Tell the whole story once."""
    request = CreateInstanceRequest(
        name="my-gpu-instance",
        product_name="RTX 4090 24GB",
        template_id="tf-training-template-1",
        gpu_num=2,
        rootfs_size=100,
        region="US-WEST-01",
        webhook_url=receiver.url,
    )
    print(f"Product:   {client.catalog.choose(request)}")
    if not agreed():
        print("Nothing was rented.")
        return 1

    instance = client.instances.create(request)  # returns at once: a job does the rest
    print(f"Instance:  {instance.id}\n\nOn its way:")
    try:
        ready = instance.wait_until_ready(timeout=1200, progress=False, on_progress=Phases())
        show(ready)
        receiver.show_next()
        show_health(client)
    finally:
        gone = instance.delete()  # waits until the cloud says so
        print(f"\nGiven back: {gone.id} is {gone.status}.")
    receiver.show_next()
    return 0


@contextmanager
def account() -> Generator[Settings, None, None]:
    """Settings for the account of NOVITA_API_KEY; without one, for an emulator that lasts as long as the block."""
    if os.environ.get("NOVITA_API_KEY"):
        yield Settings()
        return
    with Emulator() as cloud:
        print(
            f"No NOVITA_API_KEY: using the emulator at {cloud.base_url}. Nothing here costs money.\n"
        )
        yield Settings(api_key=cloud.api_key, base_url=cloud.base_url, store="memory")


def agreed() -> bool:
    """Ask before money is spent; without somebody to ask, do not spend it."""
    if not os.environ.get("NOVITA_API_KEY"):
        return True
    return sys.stdin.isatty() and input("Rent it for real? [y/N] ").strip().lower() == "y"


class Receiver:
    """Your application: it listens for webhooks, and believes those whose signature is valid."""

    def __init__(self) -> None:
        self.secret = secret = new_secret()
        self._received = received = Queue[Received]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    received.put(verify(body, dict(self.headers), secret))
                except SignatureInvalid:
                    self.send_response(400)
                else:
                    self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the terminal for the story."""

        self._server = TCPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=[0.05])
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhook"

    def show_next(self) -> None:
        """Print the next webhook, or that none came."""
        try:
            webhook = self._received.get(timeout=5)
        except Empty:
            print("\nNo webhook came within 5 s.")
            return
        event = webhook.event
        print(f"\nWebhook, signature verified: {event.instance_id} is {event.status}")

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Phases:
    """Prints each phase of a wait once, with the second it was first seen."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: WaitProgress) -> None:
        """Hear how the wait stands."""
        phase = progress.phase or str(progress.status)
        if phase != self._last:
            print(f"  {progress.elapsed:5.1f} s  {phase}")
            self._last = phase


def show(instance: InstanceDetails) -> None:
    """Print how to reach it."""
    print("\nReady:")
    if instance.connection_details:
        print(f"  {instance.connection_details.ssh}")
    for port in instance.port_mappings:
        address = f"{port.port}/{port.type}"
        print(f"  {address:<9} {port.endpoint}")


def show_health(client: Novitai) -> None:
    """Print what the client stands on."""
    health = client.health_report()
    services, speed = health.services, health.performance
    print(
        f"\nHealth: {health.status} (cloud {services.novita_api}, jobs {services.job_queue}, "
        f"records {services.cache})\n"
        f"  {speed.requests_per_minute:.0f} requests in the last minute, "
        f"{speed.average_response_time:.1f} ms each, {health.system.memory.used_mb:.0f} MB in use"
    )


if __name__ == "__main__":
    sys.exit(main())
