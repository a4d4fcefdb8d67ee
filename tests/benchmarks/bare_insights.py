"""What insights is compared with: a Starlette route that answers with a list from a dictionary.

`python -m tests.benchmarks.bare_insights PORT LISTS_FILE`, on the same server, parser and event loop. It knows no
token, no refusal, no tag, no database and no limit.
"""

import sys
from pathlib import Path

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def application(lists: dict[str, object]) -> Starlette:
    """Return the bare application."""

    async def recommend(request: Request) -> JSONResponse:
        return JSONResponse(lists[request.query_params["item"]])

    return Starlette(routes=[Route("/v1/recommendations", recommend)])


def main(port: str, lists_file: str) -> None:
    """Serve until terminated."""
    config = uvicorn.Config(
        application(orjson.loads(Path(lists_file).read_bytes())), port=int(port),
        access_log=False, log_level="warning", lifespan="off", server_header=False,
    )  # fmt: skip
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
