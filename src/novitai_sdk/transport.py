"""The port behind which another HTTP engine can carry a client's requests.

Whatever has these two methods and a mode can be given to a client as ``transport=``. Retries, deadlines, limits and the
reading of replies stay with the client; a transport carries one request to its reply.

>>> from novitai_sdk import Novitai
>>> class Canned:
...     mode = Sync
...     async def send(self, request: Request) -> Reply:
...         return Reply(status=200, headers={}, body=b'{"data": []}')
...     async def close(self) -> None:
...         pass
>>> with Novitai(api_key="sk-example", transport=Canned(), store="memory") as client:
...     client.cloud.clusters.list()
()

The methods of a plain transport are coroutines as well, so that both kinds have one port; they must not suspend. Raise
`novitai_sdk.ConnectFailed` where nothing was sent (only then is a create sent again), `novitai_sdk.CallTimedOut` and
`novitai_sdk.TransportFailed` where the request may have had its effect.
"""

from ._calling import Async, Sync
from ._transport import AsyncHttpClient, HttpClient, Reply, Request, Transport

__all__ = ["Async", "AsyncHttpClient", "HttpClient", "Reply", "Request", "Sync", "Transport"]
