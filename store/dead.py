"""Dead letters: records that are no events, kept in a topic of their own with the reason and where they came from."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord

from store.batch import check_body
from store.events import Arrival, NotAnEvent, Record, parse_arrival

REASON, FROM, REDRIVEN = "dead-reason", "dead-from", "dead-redriven"


def understood(records: Sequence[ConsumerRecord]) -> tuple[list[Arrival], list[Record]]:
    """The events among the records, and the others as dead letters."""
    arrivals, dead = [], []
    for record in records:
        try:
            arrivals.append(whole_arrival(record))
        except NotAnEvent as error:
            dead.append(letter(record, str(error)))
    return arrivals, dead


def whole_arrival(record: ConsumerRecord) -> Arrival:
    """The record as an arrival whose body can be kept. Raises NotAnEvent."""
    arrival = parse_arrival(record.partition, record.offset, record.key, record.value, tuple(record.headers))
    check_body(arrival)
    return arrival


def letter(record: ConsumerRecord, reason: str) -> Record:
    """The record as it was, with the reason and its place."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    headers = (*record.headers, (REASON, reason.encode()), (FROM, place.encode()))
    return Record(record.key or b"", record.value or b"", headers)
