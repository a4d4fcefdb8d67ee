"""Reading a whole topic once, as no member of any group."""

import asyncio

import aiokafka

FETCH_MILLISECONDS = 500


async def event_ids(reader: aiokafka.AIOKafkaConsumer) -> frozenset[str]:
    """Return the ids (`ce_id`) of all records up to where the topic ends now that the reader was made for."""
    partitions = list(reader.assignment())
    await reader.seek_to_beginning(*partitions)
    ends = await reader.end_offsets(partitions)
    found: set[str] = set()
    while True:
        positions = await asyncio.gather(*(reader.position(each) for each in partitions))
        # A position also moves over what is no record: markers, and what was aborted.
        if all(position >= ends[each] for each, position in zip(partitions, positions, strict=True)):
            return frozenset(found)
        fetched = await reader.getmany(timeout_ms=FETCH_MILLISECONDS)
        for record in (each for records in fetched.values() for each in records):
            found.update(
                value.decode("ascii", "replace") for name, value in record.headers if name == "ce_id"
            )
