"""One message of a browser, in GA4's words, after every field that could name somebody was dropped."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Interaction:
    """Something done on the page, by its GA4 name (`add_to_cart`), perhaps with a product. Its repr says nothing."""

    name: str
    item: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """What one page view was about; every text is as the browser wrote it, hostile until read. Its repr says nothing.

    `location` and `referrer` are a URL or a path, each with its query; a referrer of another origin is left out.
    """

    location: str
    referrer: str = ""
    item: str = ""
    category: str = ""
    previous_item: str = ""
    """The product whose page the visitor came from."""
    previous_category: str = ""
    term: str = ""
    """What was searched for."""
    visible_seconds: float | None = None
    """How long the page was in sight, or the lower bound of its bucket; None: not known."""
    interactions: tuple[Interaction, ...] = ()
