"""A URL becomes the template of its route. Nothing of it is kept that the shop did not write down beforehand."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from schemas.clicks import OTHER

MOST_URL = 2_048
MOST_PAIRS = 50
MOST_SEGMENTS = 30
MOST_ROUTE = 120
"""Longest name of a route, parameters included."""


class Match(NamedTuple):
    """What a shop's templates say of a URL. Item and category are as the URL has them: hostile."""

    route: str
    """The template with allow-listed parameters, or `OTHER`."""
    item: str = ""
    """What stands where the template says `{item}`."""
    category: str = ""
    """What stands where the template says `{category}`."""


NOWHERE = Match(OTHER)


class _Node:
    """A place in the tree of templates."""

    __slots__ = ("literals", "placeholder", "rest", "template")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.placeholder: _Node | None = None
        self.template = ""
        self.rest = ""


class Routes:
    """A shop's templates and parameters, made ready for look-ups. Never raises, whatever the URL is."""

    def __init__(
        self, templates: Sequence[str], parameters: Mapping[str, Sequence[str]], search: str | None = None
    ) -> None:
        self._root = _Node()
        self._parameters = {name: frozenset(values) for name, values in sorted(parameters.items())}
        self._search = search
        for template in templates:
            self._learn(template)

    def match(self, url: str) -> Match:
        """Return the template that the URL's path fits, and what it says where item or category stand."""
        path, query = _split(url)
        segments = _segments(path)
        template = "" if segments is None else _find(self._root, segments, 0)
        if segments is None or not template:
            return NOWHERE
        said = self._said(query) if query and self._parameters else ""
        route = template + said if len(template) + len(said) <= MOST_ROUTE else template
        if "{" not in template:
            return Match(route)
        named = dict(zip(template.split("/")[1:], segments, strict=False))
        return Match(route, named.get("{item}", ""), named.get("{category}", ""))

    def term(self, url: str) -> str:
        """Return what the URL says was searched for, as it stands there, "" for nothing."""
        _, query = _split(url)
        return _pairs(query).get(self._search, "") if self._search and query else ""

    def _learn(self, template: str) -> None:
        node = self._root
        for part in template.split("/")[1:] if template != "/" else ():
            if part == "*":
                node.rest = node.rest or template
                return
            if part.startswith("{"):
                node.placeholder = node = node.placeholder or _Node()
            else:
                node = node.literals.setdefault(unicodedata.normalize("NFC", part), _Node())
        node.template = node.template or template

    def _said(self, query: str) -> str:
        given = _pairs(query)
        said = [
            f"{name}={given[name] if given[name] in values else OTHER}"
            for name, values in self._parameters.items()
            if name in given
        ]
        return "?" + "&".join(said) if said else ""


def _find(node: _Node, segments: Sequence[str], at: int) -> str:
    """Return the template that fits, literals before placeholders before a star."""
    if at == len(segments):
        return node.template
    literal = node.literals.get(segments[at])
    found = _find(literal, segments, at + 1) if literal else ""
    if not found and node.placeholder:
        found = _find(node.placeholder, segments, at + 1)
    return found or node.rest


def _split(url: str) -> tuple[str, str]:
    """Return path and query of a URL or of a path; ("", "") for what is neither."""
    if len(url) > MOST_URL:
        return "", ""
    url = url.partition("#")[0].strip()
    whole, _, query = url.partition("?")
    scheme, found, rest = whole.partition("://")
    if found and scheme.lower() in ("http", "https"):
        whole = "/" + rest.partition("/")[2]
    # `//host/path` names another host, and a path never begins so.
    if not whole.startswith("/") or whole.startswith("//"):
        return "", ""
    return whole, query


def _segments(path: str) -> list[str] | None:
    """Return the decoded segments of a path, None where it is none, or climbs."""
    if not path:
        return None
    # Decoded after the split, once: an encoded slash separates nothing, and what is encoded twice stays unknown.
    # What follows a semicolon is a parameter of the segment (RFC 3986 §3.3), a session id more often than not.
    said = [part for part in path.split("/") if part]
    if len(said) > MOST_SEGMENTS:
        return None
    parts = [unquote(part.partition(";")[0]) for part in said]
    if any(part in (".", "..", "") for part in parts):
        return None
    return [unicodedata.normalize("NFC", part) for part in parts]


def _pairs(query: str) -> dict[str, str]:
    """Return the parameters of a query, decoded once; of several by one name the first."""
    found: dict[str, str] = {}
    for pair in query.split("&", MOST_PAIRS)[:MOST_PAIRS]:
        name, _, value = pair.partition("=")
        found.setdefault(unquote_plus(name), unquote_plus(value))
    return found
