"""What the door for clicks is compared with: a Starlette route that hands a page's JSON and its visitor to Kafka.

`python -m tests.benchmarks.bare_clicks PORT KAFKA PASSWORD_FILE`, on the same server and event loop as the gateway. As
collectors do, it answers when the record is in the producer's buffer, and everybody is in the topic by name.
"""

import sys
from pathlib import Path

import aiokafka
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOPIC = "clicks"


def application(producer: aiokafka.AIOKafkaProducer) -> Starlette:
    """Return the bare application."""

    async def take(request: Request) -> JSONResponse:
        visitor = f"{request.client.host if request.client else ''} {request.headers.get('user-agent', '')}"
        event = {"visitor": visitor, "page": await request.json()}
        await producer.send(TOPIC, key=visitor.encode(), value=orjson.dumps(event))
        return JSONResponse({"accepted": True}, 202)

    return Starlette(routes=[Route("/v1/collect", take, methods=["POST"])])


async def serve(port: int, kafka: str, password: str) -> None:
    """Serve until terminated."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka, security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="gateway", sasl_plain_password=password, enable_idempotence=True,
    )  # fmt: skip
    await producer.start()
    config = uvicorn.Config(
        application(producer),
        port=port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
    )
    await uvicorn.Server(config).serve()


def main(port: str, kafka: str, password_file: str) -> None:
    """Run on the event loop that uvicorn picks by itself, as the gateway's is: uvloop."""
    import uvloop

    uvloop.run(serve(int(port), kafka, Path(password_file).read_text().strip()))


if __name__ == "__main__":
    main(*sys.argv[1:])
