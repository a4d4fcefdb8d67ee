"""What the verbs of storefronts share: the gateway's rows, its HTTP face, and a storefront's token."""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import httpx
import typer

from deploy.local.stack import Stack
from services.cli.exits import Ended, Exit

TOKEN_VARIABLE = "LETHE_TOKEN"  # noqa: S105 - a name, not a token
ANSWER_SECONDS = 15
PATIENCE_SECONDS = 30.0
"""How long a gateway that is away, or asks to come again, is tried."""

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", help=f"File with the storefront's token; without it, the variable {TOKEN_VARIABLE}."
    ),
]


def rows_of(
    platform: Stack, sql: str, *arguments: object, undo: bool = False, process: str = "gateway"
) -> list[dict[str, Any]]:
    """Run one statement on the schema of a process and return its rows; with `undo`, leave no trace."""

    async def run() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(platform.admin_dsn(), timeout=10)
        try:
            transaction = connection.transaction()
            await transaction.start()
            rows = [dict(row) for row in await connection.fetch(sql, *arguments)]
            await (transaction.rollback() if undo else transaction.commit())
            return rows
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise Ended(
            Exit.UNAVAILABLE, f"the {process} has never been started here; start it with: lethe up"
        ) from None
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Ended(Exit.UNAVAILABLE, "the database cannot be reached", error=type(error).__name__) from None


class Door:
    """The gateway as a storefront sees it; whatever may pass is tried again for a while."""

    def __init__(self, platform: Stack, token_file: Path | None) -> None:
        if not platform.gateway_url:
            raise Ended(Exit.UNAVAILABLE, "the gateway has never been started here; start it with: lethe up")
        self._http = httpx.Client(
            base_url=platform.gateway_url,
            headers={"authorization": f"Bearer {_token(token_file)}", "content-type": "application/json"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )

    def ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        """Return an answer that is not "come again"; end the verb, unavailable, when none comes in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            reason, wait_seconds = "the gateway cannot be reached", 0.5
            try:
                answer = self._http.request(method, path, content=body)
                if answer.status_code not in (408, 429) and answer.status_code < 500:
                    return _let_in(answer)
                reason = f"the gateway says {code_of(answer)}"
                wait_seconds = float(answer.headers.get("retry-after", wait_seconds))
            except httpx.HTTPError:
                pass
            if time.monotonic() + wait_seconds > deadline:
                raise Ended(Exit.UNAVAILABLE, reason)
            time.sleep(wait_seconds)


def code_of(answer: httpx.Response) -> str:
    """Return the code of a refusal."""
    try:
        return str(answer.json()["code"])
    except (ValueError, LookupError, TypeError):
        return f"http-{answer.status_code}"


def _let_in(answer: httpx.Response) -> httpx.Response:
    if answer.status_code == 401:
        raise Ended(Exit.REFUSED, "the token is wrong or revoked", code=code_of(answer))
    return answer


def _token(path: Path | None) -> str:
    """Return the token from a file or the environment, never from the command line, which others can read."""
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
    else:
        try:
            token = path.read_text("ascii").strip()
        except (OSError, ValueError):
            raise Ended(Exit.USAGE, "the token file cannot be read") from None
    if not token or not token.isascii() or not token.isprintable():
        raise Ended(Exit.USAGE, f"a storefront's token is needed: --token-file or {TOKEN_VARIABLE}")
    return token
