"""Events of one body become pages: what was done on a page belongs to it, and a page view is counted once. Pure."""

from collections.abc import Iterator

from services.gateway.clicks.cells import MOST_INTERACTIONS
from services.gateway.clicks.page import Interaction, Page
from services.gateway.clicks.reading import Reading, Seen
from services.gateway.clicks.site import Site
from services.gateway.clicks.vocabulary import ENGAGEMENT, PAGE_VIEW, SEARCHES, VIEW_ITEM, Drop

Item = tuple[str, str]
_NO_ITEM: Item = ("", "")


class _Draft:
    """A page that may still get something."""

    __slots__ = ("before", "interactions", "item", "location", "referrer", "seconds", "term")

    def __init__(self, before: Item, location: str = "", referrer: str = "") -> None:
        self.location, self.referrer, self.before = location, referrer, before
        self.item, self.term = _NO_ITEM, ""
        self.seconds: float | None = None
        self.interactions: list[Interaction] = []

    def page(self) -> Page:
        return Page(
            self.location, self.referrer, *self.item, *self.before, self.term, self.seconds,
            tuple(self.interactions),
        )  # fmt: skip


def pages_of(reading: Reading, site: Site) -> list[Page]:
    """Return the pages that the events of a body are about; what is not taken is counted in the reading.

    A page without a location is no page view: somebody says of a page view said before, or elsewhere, what was done.
    """
    return [draft.page() for draft in _drafts(reading, site)]


def _drafts(reading: Reading, site: Site) -> Iterator[_Draft]:
    draft: _Draft | None = None
    viewed = _NO_ITEM
    for event in reading.events:
        item = event.items[0] if event.items else _NO_ITEM
        if event.name == PAGE_VIEW:
            location = _own(event.location, site)
            if not location:
                reading.drop(Drop.FOREIGN_PAGE if event.location else Drop.NO_PAGE)
                continue
            if draft is not None:
                yield draft
            draft = _Draft(viewed, location, _own(event.referrer, site))
        elif event.name == ENGAGEMENT:
            if draft is None:
                reading.drop(Drop.NO_PAGE)
            elif event.seconds is not None:
                draft.seconds = (draft.seconds or 0.0) + event.seconds
        elif event.name == VIEW_ITEM or event.name in SEARCHES or event.name in site.interactions:
            if draft is not None and _full(draft, event, item):
                yield draft
                draft = None
            draft = draft or _Draft(viewed)
            _add(draft, event, item)
            viewed = draft.item if event.name == VIEW_ITEM else viewed
        else:
            reading.drop(Drop.UNKNOWN)
    if draft is not None:
        yield draft


def _full(draft: _Draft, event: Seen, item: Item) -> bool:
    """Return whether a page has its product, its search or its interactions already, and these are others."""
    if event.name == VIEW_ITEM:
        return draft.item not in (_NO_ITEM, item)
    if event.name in SEARCHES:
        return draft.term not in ("", event.term)
    return len(draft.interactions) + max(1, len(event.items)) > MOST_INTERACTIONS


def _add(draft: _Draft, event: Seen, item: Item) -> None:
    if event.name == VIEW_ITEM:
        draft.item = item
    elif event.name in SEARCHES:
        draft.term = event.term
    elif event.items:
        draft.interactions += [Interaction(event.name, *each) for each in event.items]
    else:
        draft.interactions.append(Interaction(event.name))


def _own(url: str, site: Site) -> str:
    """Return a URL of the shop's own; empty for one of another origin, or of none."""
    if url.startswith("/") and not url.startswith(("//", "/\\")):
        return url
    scheme, _, rest = url.partition("//")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    return url if f"{scheme}//{host}".lower() in site.origins else ""
