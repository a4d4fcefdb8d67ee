"""What the door for clicks is compared with: who is in the topic by name.

`python -m tests.benchmarks.bare_clicks PORT KAFKA PASSWORD_FILE SITE`, on the server and event loop of the gateway:

    /v1/collect     the same route: the gateway's own door with all of its checks; then it forwards the raw JSON
    /bare           a Starlette route as in the documentation, which checks nothing

As collectors do, both answer when the record is in the producer's buffer.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.gateway.clicks import collect
from services.gateway.clicks.head import check_head, read_head
from services.gateway.clicks.sites import SiteRow, Sites
from services.gateway.http import Door
from services.kernel.clock import SystemClock

TOPIC = "clicks"
BARE = "/bare"


class Raw(collect.Collect):
    """The door with its checks; behind it, nobody is forgotten."""

    def __init__(self, sites: Sites, producer: aiokafka.AIOKafkaProducer) -> None:
        super().__init__(sites, SimpleNamespace())
        self._producer = producer

    async def take(self, scope: collect.Scope, receive: collect.Receive) -> Response:
        head = read_head(scope["headers"])
        if head.refused or self._bots.is_bot(head.agent):
            return Response(status_code=204)
        check_head(head)
        await self._site(collect._named(scope, head), head)
        body = await self._body(head, receive)
        address = head.forwarded_for[0] if head.forwarded_for else b""
        await _forward(self._producer, address.decode() + " " + head.agent.decode(), body)
        return collect._taken(head.origin)


async def _forward(producer: aiokafka.AIOKafkaProducer, visitor: str, page: Any) -> None:
    await producer.send(TOPIC, key=visitor.encode(), value=orjson.dumps({"visitor": visitor, "page": page}))


def application(producer: aiokafka.AIOKafkaProducer, site: str) -> Any:
    """Return both, told apart by their paths."""
    storefront = orjson.loads(site)["storefront"]

    async def rows(_: Collection[int]) -> Sequence[SiteRow]:
        return [SiteRow(storefront, 1, site)]

    raw = Raw(Sites(rows, SystemClock()), producer)
    nothing: Any = SimpleNamespace(take=None)
    door = Door(nothing, nothing, nothing, nothing, raw)

    async def take(request: Request) -> JSONResponse:
        visitor = request.headers["x-forwarded-for"] + " " + request.headers["user-agent"]
        await _forward(producer, visitor, await request.json())
        return JSONResponse({"accepted": True}, 202)

    bare = Starlette(routes=[Route(BARE, take, methods=["POST"])])

    async def either(scope: Any, receive: Any, send: Any) -> None:
        await (bare if scope["path"] == BARE else door)(scope, receive, send)

    return either


async def serve(port: int, kafka: str, password: str, site: str) -> None:
    """Serve until terminated."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka, security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="gateway", sasl_plain_password=password, enable_idempotence=True,
    )  # fmt: skip
    await producer.start()
    config = uvicorn.Config(
        application(producer, site),
        port=port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
    )
    await uvicorn.Server(config).serve()


def main(port: str, kafka: str, password_file: str, site: str) -> None:
    """Run on the event loop that uvicorn picks by itself, as the gateway's is: uvloop."""
    import uvloop

    uvloop.run(serve(int(port), kafka, Path(password_file).read_text().strip(), site))


if __name__ == "__main__":
    main(*sys.argv[1:])
