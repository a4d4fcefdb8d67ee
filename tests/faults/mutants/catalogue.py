"""Every mutant, in the rooms that people read them in."""

from collections.abc import Mapping

from tests.faults.mutants import (
    guards_clicks,
    guards_collect,
    guards_crowds,
    guards_edge,
    guards_erasure,
    guards_hiding,
    guards_insights,
    guards_keys,
    guards_loop,
    guards_recommendations,
    guards_workers,
)
from tests.faults.mutants.mutant import Mutant

ROOMS: Mapping[str, tuple[Mutant, ...]] = {
    "Lanes and progress": guards_loop.LANES,
    "Restored and recreated": guards_loop.RESTORED,
    "Erased people": guards_loop.ERASED,
    "Failures": guards_loop.FAILURES,
    "What leaves": guards_loop.LEAVES,
    "Sealed values": guards_keys.SEALED,
    "Who gets a key": guards_keys.MINTING,
    "Grounds and destruction": guards_keys.GROUNDS,
    "Key-encrypting keys": guards_keys.ROTATION,
    "The keyring's door": guards_keys.DOOR_OF_KEYS,
    "Rounds of an erasure": guards_erasure.ROUNDS,
    "Certificates": guards_erasure.CERTIFICATES,
    "The door for storefronts": guards_edge.DOOR,
    "JSON": guards_edge.STRICT,
    "Contracts": guards_edge.CONTRACTS,
    "Logs, errors and metrics": guards_edge.TOLD,
    "Orders, shipments, partners": guards_workers.WORKERS,
    "Readers of statistics": guards_insights.READERS,
    "The door for clicks": guards_collect.CLICKS,
    "Routes, products, terms": guards_hiding.NAMED,
    "A visitor among others": guards_hiding.HIDDEN,
    "What a crowd shares": guards_crowds.SHARED,
    "The tag key's day": guards_hiding.ONE_DAY,
    "Counting visitors": guards_clicks.COUNTED,
    "Closing windows": guards_clicks.CLOSED,
    "What is told of crowds": guards_clicks.TOLD,
    "What is kept of windows": guards_clicks.KEPT,
    "Lists of recommendations": guards_recommendations.LISTS,
    "The platform's rights": guards_workers.PLATFORM,
}
MUTANTS = tuple(mutant for mutants in ROOMS.values() for mutant in mutants)
