"""The merchandiser's page for browsers: made whole on the server, without a script, for who signed in."""

import hashlib
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from schemas.clicks import Kind
from services.insights import view
from services.insights.asking import MOST_QUERY_BYTES, is_window
from services.insights.library import Library
from services.insights.refusals import MEANING, RETRY_AFTER_SECONDS, STATUS, Code, Refusal
from services.insights.signing import Signing, refuse_from_elsewhere
from services.insights.view import Asked, Page, spelled

HERE = Path(__file__).parent
MOST_FORM_BYTES = 4_096
FORM = "application/x-www-form-urlencoded"
GUARDS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers would then say of our own form that it comes from nowhere.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "cache-control": "no-store",
}
"""On every page. No script may run, so nothing that a search term says can become one."""


class Pages:
    """Signing in and out, the page itself, its style."""

    def __init__(self, signing: Signing, shelf: Library[Asked, Page]) -> None:
        self._signing = signing
        self._shelf = shelf
        self._style = (HERE / "style.css").read_bytes()
        self.style_path = f"/style-{hashlib.sha256(self._style).hexdigest()[:12]}.css"
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.globals.update(
            style_path=self.style_path,
            kinds={kind.value: kind for kind in Kind},
            names=view.NAMES,
            spelled=spelled,
        )

    async def home(self, request: Request) -> Response:
        """Show the page of the shop that is signed in; lead everybody else to the form."""
        storefront = await self._signing.storefront(request.scope["headers"])
        if storefront is None:
            return self._lead("/sign-in")
        asked = _asked(storefront, request.scope["query_string"])
        page = self._shelf.ready(asked) or await self._shelf.get(asked)
        return self._html("page.html", 200, page=page)

    async def form(self, request: Request) -> Response:
        """Show the form."""
        return self._html("sign-in.html", 200, problem="")

    async def sign_in(self, request: Request) -> Response:
        """Take the token; on success the browser gets a session and the page."""
        refuse_from_elsewhere(request.scope["headers"])
        token = await _token(request)
        address = request.client.host if request.client else ""
        try:
            cookie = await self._signing.sign_in(request.scope["headers"], address, token)
        except Refusal as refusal:
            return self._html("sign-in.html", refusal.status, problem=MEANING[refusal.reason])
        response = self._lead("/")
        response.headers["set-cookie"] = cookie
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        refuse_from_elsewhere(request.scope["headers"])
        response = self._lead("/sign-in")
        response.headers["set-cookie"] = await self._signing.sign_out(request.scope["headers"])
        return response

    async def style(self, request: Request) -> Response:
        """Give the style sheet; its name is its contents, so it may be kept."""
        headers = {**GUARDS, "cache-control": "public, max-age=31536000, immutable"}
        return Response(self._style, media_type="text/css", headers=headers)

    def refused(self, code: Code) -> Response:
        """Say in a page why there is none."""
        return self._html("refused.html", STATUS.get(code, 422), meaning=MEANING[code])

    def _lead(self, path: str) -> Response:
        return RedirectResponse(path, 303, headers=GUARDS)

    def _html(self, template: str, status: int, **given: object) -> Response:
        headers = dict(GUARDS)
        if status in RETRY_AFTER_SECONDS:
            headers["retry-after"] = str(RETRY_AFTER_SECONDS[status])
        text = self._templates.get_template(template).render(**given)
        return Response(text, status, media_type="text/html", headers=headers)


def _asked(storefront: str, query: bytes) -> Asked:
    """Return which page is asked for; what names no day of the calendar asks for the latest."""
    if len(query) > MOST_QUERY_BYTES:
        return Asked(storefront)
    said = dict(parse_qsl(query.decode("latin-1")))
    day, hour = said.get("day", ""), said.get("hour", "")
    if "T" in day or not is_window(day):
        return Asked(storefront)
    return Asked(storefront, day, hour if is_window(f"{day}T{hour}") else "")


async def _token(request: Request) -> str:
    """Return what was typed into the form; raise `Refusal` for anything that is not the form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refusal(Code.FORM_WRONG)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            raise Refusal(Code.FORM_WRONG)
    try:
        said = dict(parse_qsl(body.decode("ascii"), max_num_fields=4, errors="strict"))
    except ValueError:
        said = {}
    if not said.get("token"):
        raise Refusal(Code.FORM_WRONG)
    return said["token"].strip()
