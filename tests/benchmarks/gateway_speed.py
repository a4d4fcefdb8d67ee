"""How much slower is the gateway than a bare Starlette route that produces the same bytes with acknowledgements?

    python -m tests.benchmarks.gateway_speed --state DIR [--seconds 4] [--connections 48] [--rounds 3]

Starts Kafka, the keyring and one gateway in DIR (or uses what runs there) and measures, in turns, events a second with
one event a request, and processor time an event of the answering process. On few cores the keyring, PostgreSQL and the
load itself compete with the gateway: then the processor time compares better than the rate.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiokafka
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.local import stack
from deploy.local.ports import LOOPBACK, choose
from services.gateway.intake import Intake
from services.gateway.submission import Submission, read_body
from services.kernel.broker.interface import Message
from services.kernel.clock import SystemClock
from services.kernel.sealing.keys import DataKey
from tests.unit.gateway_room import BASKET, placed

EVENTS = 2_000
LINE = {"sku": "85123A", "name": "WHITE HANGING HEART T-LIGHT HOLDER", "quantity": 6, "unit_price_minor": 255}


def bodies() -> list[bytes]:
    """Return orders of one to eight lines."""
    baskets = [
        BASKET | {"lines": [LINE] * lines, "total_minor": 1530 * lines + 400} for lines in (1, 2, 3, 5, 8)
    ]
    return [json.dumps(placed(basket=baskets[number % 5])).encode() for number in range(EVENTS)]


def sealed(body: bytes) -> Message:
    """Return the record that the gateway would make of an event."""
    submission = next(read_body(body)[1])
    assert isinstance(submission, Submission)
    keys = {category: DataKey.fresh() for category in submission.form.categories}
    return Intake(None, SystemClock(), "1")._message("bench", submission, keys, None)  # type: ignore[arg-type]


async def serve_bare(kafka: str, password: str, port: int) -> None:
    """The bare route: parse, produce, wait, answer."""
    messages, given = [sealed(body) for body in bodies()], 0
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka, security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="gateway", sasl_plain_password=password, enable_idempotence=True,
    )  # fmt: skip
    await producer.start()

    async def take(request: Request) -> JSONResponse:
        nonlocal given
        await request.json()
        message, given = messages[given % EVENTS], given + 1
        await producer.send_and_wait(
            message.topic, key=message.key, value=message.value, headers=list(message.headers)
        )
        return JSONResponse({"accepted": True}, 202)

    app = Starlette(routes=[Route("/v1/events", take, methods=["POST"])])
    config = uvicorn.Config(
        app, port=port, access_log=False, log_level="warning", lifespan="off", server_header=False
    )
    await uvicorn.Server(config).serve()


@dataclass
class Load:
    """Keeps a number of connections busy with one event a request."""

    port: int
    pid: int
    requests: list[bytes]
    answered: int = 0

    async def run(self, seconds: float, connections: int) -> tuple[float, float]:
        """Return events a second, and processor seconds an event of the answering process."""
        began, used = time.monotonic(), _processor_seconds(self.pid)
        ends_at = began + seconds
        await asyncio.gather(
            *(self._keep_busy(number, connections, ends_at) for number in range(connections))
        )
        took = time.monotonic() - began
        return self.answered / took, (_processor_seconds(self.pid) - used) / self.answered

    async def _keep_busy(self, number: int, step: int, ends_at: float) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        while time.monotonic() < ends_at:
            writer.write(self.requests[number % EVENTS])
            number += step
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
            assert head.startswith(b"http/1.1 202"), head
            self.answered += 1
        writer.close()


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(token: str) -> list[bytes]:
    """Return the events as HTTP requests."""
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return [head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies()]


@contextlib.contextmanager
def bare(platform: stack.Stack) -> Iterator[tuple[int, int]]:
    """Run the bare route in a process of its own; yield its port and pid."""
    port = choose(["bare"], {})["bare"]
    password = platform.secrets.path("gateway", "kafka_password")
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.gateway_speed",
        "--bare",
        str(port),
        platform.kafka,
        str(password),
    ]
    process = subprocess.Popen(command)
    try:
        time.sleep(5)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def new_storefront(state: Path) -> str:
    """Let a storefront in; return its token."""
    name = f"bench-{secrets.token_hex(4)}"
    command = [
        sys.executable,
        "-m",
        "services.cli",
        "storefronts",
        "add",
        name,
        "--state",
        str(state),
        "--json",
    ]
    return str(json.loads(subprocess.check_output(command))["token"])


def measure(arguments: argparse.Namespace) -> None:
    """Print both, in turns."""
    platform = stack.start(arguments.state, only=("keyring", "gateway"))
    asked = requests(new_storefront(arguments.state))
    doors: dict[str, Any] = {
        "gateway": (platform.identity.ports["gateway-1:http"], platform.pid("gateway-1")),
    }
    with bare(platform) as doors["bare"]:
        for _ in range(arguments.rounds):
            found = {}
            for name in ("bare", "gateway"):
                load = Load(*doors[name], asked)
                found[name] = asyncio.run(load.run(arguments.seconds, arguments.connections))
                print(
                    f"{name:8} {found[name][0]:7.0f} events/s {found[name][1] * 1e6:5.0f} µs of processor an event"
                )
            rate, cost = found["gateway"][0] / found["bare"][0], found["bare"][1] / found["gateway"][1]
            print(
                f"ratio    {rate:7.2f} by rate   {cost:5.2f} by processor time, load {os.getloadavg()[0]:.1f}"
            )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", nargs=3, metavar=("PORT", "KAFKA", "PASSWORD_FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        port, kafka, password = arguments.bare
        asyncio.run(serve_bare(kafka, Path(password).read_text().strip(), int(port)))
    elif arguments.state is None:
        parser.error("--state is needed")
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
