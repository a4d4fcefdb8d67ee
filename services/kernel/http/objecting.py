"""How a browser says no, to both doors that browsers come to."""

_HEADERS = (b"sec-gpc", b"dnt")


def objects(name: bytes, value: bytes) -> bool:
    """Say whether a header is a refusal: `Sec-GPC: 1`, or its older sibling `DNT: 1`; lower-case `name`.

    Any other value says nothing (Global Privacy Control, section 3). Said several times, one `1` is enough, also in a
    list, as which proxies join headers (RFC 9110 §5.3).
    """
    return name in _HEADERS and any(part.strip() == b"1" for part in value.split(b","))
