"""What the gateway is compared with: a Starlette route that parses, produces the same bytes, and waits for Kafka.

`python -m tests.benchmarks.bare_gateway PORT KAFKA PASSWORD_FILE`, on the same server, parser and event loop as the
gateway. It knows no storefront, checks no contract, seals nothing: what it produces was sealed before it began.
"""

import asyncio
import itertools
import sys
from pathlib import Path

import aiokafka
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.gateway.intake import Intake
from services.gateway.submission import Submission, read_body
from services.kernel.broker.interface import Message
from services.kernel.clock import SystemClock
from services.kernel.sealing.keys import DataKey
from tests.benchmarks.shopping import endless, placed, purchases


def sealed(body: bytes) -> Message:
    """Return the record that the gateway would make of an event."""
    submission = next(read_body(body)[1])
    assert isinstance(submission, Submission)
    keys = {category: DataKey.fresh() for category in submission.form.categories}
    return Intake(None, SystemClock(), "1")._message("bench", submission, keys, None)  # type: ignore[arg-type]


def application(producer: aiokafka.AIOKafkaProducer) -> Starlette:
    """Return the bare application."""
    bought = purchases()
    events = endless("placed", [placed(each, "swift") for each in bought])
    messages = itertools.cycle([sealed(body) for body in itertools.islice(events, len(bought))])

    async def produce() -> "asyncio.Future[object]":
        message = next(messages)
        return await producer.send(
            message.topic, key=message.key, value=message.value, headers=list(message.headers)
        )

    async def take(request: Request) -> JSONResponse:
        events = await request.json()
        if isinstance(events, list):
            await asyncio.gather(*[await produce() for _ in events])
        else:
            await (await produce())
        return JSONResponse({"accepted": True}, 202)

    return Starlette(routes=[Route("/v1/events", take, methods=["POST"])])


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
