"""What a shop's pages load to be counted, and what the gateway says of Global Privacy Control."""

import hashlib
from pathlib import Path

from starlette.responses import Response

SCRIPT = Path(__file__).with_name("snippet.js").read_bytes()
GPC = b'{"gpc": true, "lastUpdate": "2026-11-23"}'
"""Global Privacy Control, section 4: this server abides by it."""

_HEADERS = {
    # Nobody but the hour old copies of browsers needs an older one.
    "cache-control": "public, max-age=3600",
    "etag": f'"{hashlib.sha256(SCRIPT).hexdigest()[:16]}"',
    "x-content-type-options": "nosniff",
    # A page that isolates itself from other origins may still load it.
    "cross-origin-resource-policy": "cross-origin",
}


def answer(known: str) -> Response:
    """Return the script, or that a browser has it already."""
    if known == _HEADERS["etag"]:
        return Response(status_code=304, headers=_HEADERS)
    return Response(SCRIPT, headers=_HEADERS, media_type="text/javascript")
