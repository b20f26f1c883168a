"""The sides of `runner.py` that keep their jobs in PostgreSQL.

``POSTGRES`` names the database, as ``postgresql://user@/database?host=/directory/of/its/socket``. It all happens in a
schema of our own, which is made anew for each measurement.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from queues import BATCH, KIND, PAYLOAD, Started

SERVER = os.environ.get("POSTGRES", "")
_SCHEMA = "novitai_benchmark"
_CONNECTIONS = 10


class Procrastinate:
    """procrastinate through a pool of psycopg, with one worker in this process."""

    def __init__(self, path: Path) -> None:
        from procrastinate import App, PsycopgConnector

        options = {"options": f"-c search_path={_SCHEMA}"}
        self._app = App(
            connector=PsycopgConnector(
                conninfo=SERVER, kwargs=options, min_size=_CONNECTIONS, max_size=_CONNECTIONS
            )
        )
        self._started: Started = int

        async def greet(name: str) -> None:
            self._started()

        self._greet = self._app.task(name=KIND)(greet)

    async def open(self) -> None:
        await _make_schema()
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def put(self) -> None:
        await self._greet.defer_async(**PAYLOAD)

    async def fill(self, count: int, after: float = 0.0) -> None:
        due = {"schedule_in": {"seconds": int(after)}} if after else {}
        await self._greet.configure(**due).batch_defer_async(*[PAYLOAD] * count)

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        self._started = started
        working = asyncio.ensure_future(
            self._app.run_worker_async(
                concurrency=BATCH, install_signal_handlers=False, shutdown_graceful_timeout=1.0
            )
        )
        return _stopping(working)

    async def close(self) -> None:
        await self._app.close_async()


class PgQueuer:
    """pgqueuer through asyncpg, with one worker in this process; its tables are the durable ones.

    Jobs are added through one connection, which is faster than its pool, also with many callers.
    """

    def __init__(self, path: Path) -> None:
        self._payload = json.dumps(PAYLOAD).encode()

    async def open(self) -> None:
        import asyncpg
        from pgqueuer import AsyncpgDriver, Queries

        await _make_schema()
        ours = {"search_path": _SCHEMA}
        self._pool = await asyncpg.create_pool(
            SERVER, min_size=_CONNECTIONS, max_size=_CONNECTIONS, server_settings=ours
        )
        self._connection = await asyncpg.connect(SERVER, server_settings=ours)
        self._queries = Queries(AsyncpgDriver(self._connection))
        await self._queries.install()

    async def put(self) -> None:
        await self._queries.enqueue(KIND, self._payload)

    async def fill(self, count: int, after: float = 0.0) -> None:
        await self._queries.enqueue(
            [KIND] * count, [self._payload] * count, [0] * count, [timedelta(seconds=after)] * count
        )

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        from pgqueuer import Job
        from pgqueuer import PgQueuer as Application

        application = Application.from_asyncpg_pool(self._pool)

        async def greet(job: Job) -> None:
            json.loads(job.payload or b"{}")
            started()

        application.entrypoint(KIND)(greet)
        return _stopping(asyncio.ensure_future(application.run(batch_size=BATCH)))

    async def close(self) -> None:
        await self._connection.close()
        await self._pool.close()


async def _make_schema() -> None:
    from psycopg import AsyncConnection

    async with await AsyncConnection.connect(SERVER, autocommit=True) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        await connection.execute(f"CREATE SCHEMA {_SCHEMA}")


def _stopping(working: "asyncio.Future[None]") -> Callable[[], Awaitable[None]]:
    async def stop() -> None:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    return stop
