"""Rent a GPU instance, be told when it is ready, and give it back.

Without a key in the environment this uses the emulator that comes with the library: real HTTP on this machine, no cost. With
NOVITA_API_KEY set it rents for real, after it has shown the price and asked.
"""

import os
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

from novitai_sdk import CreateInstanceRequest, Novitai
from novitai_sdk.instances import WaitProgress
from novitai_sdk.webhooks import Received, new_secret, verify

REQUEST = CreateInstanceRequest(
    name="my-gpu-instance",
    product_name="RTX 4090 24GB",
    template_id="tf-training-template-1",
    gpu_num=2,
    rootfs_size=100,
    region="US-WEST-01",
)


class Receiver:
    """Your application: it listens for webhooks and believes only those that are signed."""

    def __init__(self, secret: str) -> None:
        received: Queue[Received] = Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.put(verify(body, dict(self.headers), [secret]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the terminal for the story."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"
        self.received = received

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Story:
    """Prints each phase once, with the second it began."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: WaitProgress) -> None:
        doing = progress.phase or str(progress.status)
        if doing != self._last:
            print(f"  {progress.elapsed:5.1f} s  {doing}")
            self._last = doing


def main() -> int:
    secret = new_secret()
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(secret))
        options = {
            "webhook_secrets": [secret],
            "webhook_allow_http": True,  # the receiver is on this machine
            "webhook_allow_networks": ["127.0.0.0/8"],
        }
        if not os.environ.get("NOVITA_API_KEY"):
            from novitai_sdk.emulator import Emulator

            cloud = stack.enter_context(Emulator())
            options |= {"api_key": cloud.api_key, "base_url": cloud.base_url, "store": "memory"}
            print(
                f"No NOVITA_API_KEY: using the emulator at {cloud.base_url}. Nothing here costs money.\n"
            )
        client = stack.enter_context(Novitai(**options))

        choice = client.catalog.choose(REQUEST)
        print(f"Product:  {choice}")
        if "api_key" not in options and not agreed():
            print("Nothing was rented.")
            return 1

        instance = client.instances.create(
            CreateInstanceRequest(
                name=REQUEST.name,
                product_name=REQUEST.product_name,
                template_id=REQUEST.template_id,
                gpu_num=REQUEST.gpu_num,
                rootfs_size=REQUEST.rootfs_size,
                region=REQUEST.region,
                webhook_url=receiver.url,
            )
        )
        print(f"Instance: {instance.id}\n\nOn its way:")
        try:
            instance = instance.wait_until_ready(timeout=1200, progress=False, on_progress=Story())
            show(instance)
            told(receiver)
            report(client)
        finally:
            gone = instance.delete()
            print(f"\nGiven back: {gone.id} is {gone.status}.")
        told(receiver)
    return 0


def agreed() -> bool:
    return sys.stdin.isatty() and input("Rent it for real? [y/N] ").strip().lower() == "y"


def show(instance) -> None:
    print(f"\nReady after {(instance.ready_at - instance.created_at).total_seconds():.1f} s:")
    print(f"  ssh      {instance.connection_details.ssh}")
    for port in instance.port_mappings:
        print(f"  port     {port.port}/{port.type} at {port.endpoint}")


def told(receiver: Receiver) -> None:
    try:
        webhook = receiver.received.get(timeout=5)
    except Empty:
        print("\nNo webhook came within 5 s.")
        return
    event = webhook.event
    print(f"\nWebhook received and its signature verified: {webhook.message_id}")
    print(f"  {event.instance_id} is {event.status}")


def report(client: Novitai) -> None:
    health = client.health_report()
    services = health.services
    print(f"\nHealth: {health.status}")
    print(
        f"  novitaApi {services.novita_api}, jobQueue {services.job_queue}, cache {services.cache}"
    )
    print(
        f"  {health.performance.requests_per_minute:.0f} requests per minute, "
        f"{health.performance.average_response_time:.1f} ms each, {health.system.memory.rss:.0f} MB in use"
    )


if __name__ == "__main__":
    sys.exit(main())
