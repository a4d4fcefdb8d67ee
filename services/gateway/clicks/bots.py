"""Programs that say they are programs: not counted. The patterns are kept at monperrus/crawler-user-agents."""

import secrets
from collections import OrderedDict
from hashlib import blake2b

import crawleruseragents

MOST_AGENT = 1_024
"""Characters of a user agent; no browser's is longer."""
REMEMBERED = 10_000


class Bots:
    """Knows a user agent again without keeping it: what is remembered is a digest under a key of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    def is_bot(self, agent: bytes) -> bool:
        """Return whether a program says that it is one, or says no more of itself than a program would."""
        if not agent or len(agent) > MOST_AGENT:
            return True
        mark = blake2b(agent, key=self._key, digest_size=16).digest()
        known = self._known.get(mark)
        if known is None:
            # Some 1,500 patterns: a hundred times as slow as to remember.
            known = crawleruseragents.is_crawler(agent.decode("latin-1"))
            self._known[mark] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(mark)
        return known
