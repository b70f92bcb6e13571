"""`python -m store dead`: reads the dead letters, and drives them again once what was wrong is mended."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from store.archive import Archive, open_archive
from store.as_of import AsOf
from store.batch import check_body
from store.broker import Publisher, close, open_reader
from store.cursor import Cursor
from store.dead import CUT, FROM, REASON, REDRIVEN
from store.events import Arrival, EventType, NotAnEvent, Record, decode, parse_arrival
from store.rebuild import log_bounds
from store.settings import Settings
from store.topic import ensure_topics

_READ_WITHIN = 30  # seconds in which Kafka must go on answering
_KEPT_WITHIN = 10  # seconds for the storekeeper to keep what the log has: one that works is behind by less


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that was no event. `number` names it; `place` is where it came from; `again` whether it was driven again.

    `cut` says how long it was, if this is not all of it.
    """

    number: int
    at: datetime
    reason: str
    place: str
    record: Record
    again: bool
    cut: str


async def read_letters(settings: Settings) -> list[Letter]:
    """Every dead letter, oldest first; one that was put down twice is one. Waits for Kafka as long as it takes."""
    await ensure_topics(settings)
    reader = open_reader(settings)
    try:
        await reader.start()
        at = TopicPartition(settings.kafka_dead_topic, 0)
        reader.assign([at])
        end = (await reader.end_offsets([at]))[at]
        await reader.seek_to_beginning(at)
        records: list[ConsumerRecord] = []
        async with asyncio.timeout(_READ_WITHIN):
            while await reader.position(at) < end:
                for some in (await reader.getmany(timeout_ms=1000)).values():
                    records += some
    finally:
        await close(reader)
    return letters_of(records)


def letters_of(records: Iterable[ConsumerRecord]) -> list[Letter]:
    """The letters among the records of the topic; the others are marks of what was driven again."""
    by_place: dict[str, ConsumerRecord] = {}
    again = set()
    for record in records:
        told = dict(record.headers)
        if REDRIVEN in told:
            again.add(told[REDRIVEN])
        elif FROM in told:
            by_place.setdefault(told[FROM].decode(errors="replace"), record)
    return [_letter(place, record, place.encode() in again) for place, record in by_place.items()]


async def redrive(settings: Settings, letters: Iterable[Letter]) -> list[str]:
    """Puts these back into the events topic, as they were, each once; what became of each, in a line.

    Whether a letter is of use any more the archive says, once it has come to where the log ends when this begins.
    A crash in one certain moment drives a letter twice: it is the same event, by its id, and counts once everywhere.
    """
    said = []
    topic = await ensure_topics(settings)
    _, ends = await log_bounds(settings, topic)
    end = Cursor(topic.epoch, tuple(ends[partition] for partition in sorted(ends)))
    async with (
        Publisher(settings) as events,
        Publisher(settings, settings.kafka_dead_topic) as marks,
        open_archive(settings) as archive,
    ):
        await _until_at(end, archive)
        for letter in letters:
            why = "was driven again before" if letter.again else letter.cut or await _unfit(letter.record, archive, end)
            if not why:
                await events.publish([letter.record])
                await marks.publish([Record(b"redriven", b"", ((REDRIVEN, letter.place.encode()),))])
            said.append(f"{letter.number}  {'left: ' + why if why else 'driven again'}")
    return said


async def _until_at(end: Cursor, archive: Archive) -> None:
    """Waits for the archive, within a bound: what it says is compared in any case."""
    until = time.monotonic() + _KEPT_WITHIN
    while True:
        if (await archive.progress()).has_reached(end) or time.monotonic() > until:
            return
        await asyncio.sleep(0.1)


async def _unfit(record: Record, archive: Archive, end: Cursor) -> str:
    """Why the record is no use yet, or not any more; empty if it is."""
    try:
        arrival = parse_arrival(0, 0, record.key, record.value, record.headers)
        check_body(arrival)
    except NotAnEvent as error:
        return f"it is still no event: {error}"
    if arrival.change is not None:
        newest = await archive.newest_seq(arrival.change.follower, arrival.change.followee)
        seq = newest.regardless("it only grows")
        return _outdated(newest, seq > arrival.change.seq, f"the pair has changed since: seq {seq}", end)
    if arrival.type is EventType.POST:
        taken = await archive.is_taken_back(arrival.actor, _post_of(arrival))
        return _outdated(taken, taken.regardless("it is final"), "the post was deleted meanwhile", end)
    return ""


def _outdated(answer: AsOf[Any, Cursor], is_so: bool, why: str, end: Cursor) -> str:
    """What is found in the archive is found, at any age; that there is nothing only an archive says that has what the log has."""
    return why if is_so else "" if answer.reaches(end) else "the archive is behind the log: try again when it is not"


def _post_of(arrival: Arrival) -> object:
    return decode(arrival.value)["object"].get("id")  # type: ignore[attr-defined]


def _letter(place: str, record: ConsumerRecord, again: bool) -> Letter:
    told = dict(record.headers)
    headers = tuple((name, value) for name, value in record.headers if name not in (REASON, FROM, CUT))
    reason = told.get(REASON, b"?").decode(errors="replace")
    cut = f"it was cut: {told[CUT].decode(errors='replace')}" if CUT in told else ""
    original = Record(record.key or b"", record.value or b"", headers)
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return Letter(record.offset, at, reason, place, original, again, cut)
