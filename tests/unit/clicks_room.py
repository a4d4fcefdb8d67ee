"""A room for the anonymiser: a clock to be turned by hand, a shop, a keyring in memory, a Kafka that may be away."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.clicks import Cell, CellsSeen
from services.gateway.clicks.anonymiser import Anonymiser, Mixing
from services.gateway.clicks.contribution import Contribution
from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.gateway.refusals import Code, Refusal
from services.kernel.broker.interface import Message
from services.kernel.sealing.memory import MemoryVault

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class HandClock:
    """Stands where it was put."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1_000.0)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class Kafka:
    """Takes what the anonymiser sends, or refuses it."""

    def __init__(self) -> None:
        self.away = False
        self.silent = False
        """Whether it neither takes nor refuses."""
        self.sick: int | None = None
        """A partition that has no leader."""
        self.messages: list[Message] = []

    async def send(self, messages: Sequence[Message]) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.away or self.sick in [message.partition for message in messages]:
            raise Refusal(Code.BROKER_UNAVAILABLE)
        self.messages += messages


@dataclass
class Room:
    """One anonymiser with what it stands on."""

    mixing: Mixing = field(default_factory=lambda: Mixing(crowd=5))
    clock: Any = field(default_factory=HandClock)
    kafka: Kafka = field(default_factory=Kafka)

    def __post_init__(self) -> None:
        self.vault = MemoryVault(self.clock)
        self.anonymiser = self.another()
        self.site = Site.model_validate(
            {"storefront": "shop", "origins": ("https://shop.example",), "routes": ("/", "/p/{item}")}
        )

    def another(self) -> Anonymiser:
        """Return one more gateway's anonymiser at the same keyring and Kafka."""
        return Anonymiser(
            self.vault.principal("gateway"), self.kafka, self.clock, self.mixing, "1", random.Random(4)  # type: ignore[arg-type]
        )  # fmt: skip

    async def key(self) -> None:
        """Let the anonymiser have the key of the day."""
        await self.anonymiser._key.ask()

    def visit(
        self, number: int, *pages: Page, of: Anonymiser | None = None, site: Site | None = None
    ) -> None:
        """Let one visitor see pages, the first page of the shop if none is named."""
        agent = f"Agent/{number % 3}"
        (of or self.anonymiser).take(
            site or self.site, f"10.0.{number // 250}.{number % 250}", agent, pages or (Page("/"),)
        )

    async def leave(self, seconds: float = 3_600.0) -> list[CellsSeen]:
        """Let time pass, then let whoever may leave, leave; return all that is on the topic."""
        self.clock.seconds += seconds
        await self.anonymiser.leave()
        return self.events()

    def events(self) -> list[CellsSeen]:
        """Return what Kafka has."""
        return [CellsSeen.model_validate_json(message.value or b"") for message in self.kafka.messages]

    def waiting(self) -> list[Contribution]:
        """Return what waits for a crowd."""
        crowds = [each.crowd for each in self.anonymiser._rooms.values()]
        return [each for crowd in crowds for mine in crowd._visitors.values() for each in mine]

    def cells(self) -> list[Cell]:
        """Return the cells that Kafka has, in the order of the log."""
        return [cell for event in self.events() for cell in event.cells]
