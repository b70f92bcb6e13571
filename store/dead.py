"""Dead letters: records that are no events, kept in a topic of their own with the reason and where they came from."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord

from store.batch import check_body
from store.events import Arrival, NotAnEvent, Record, parse_arrival

REASON, FROM, CUT, REDRIVEN = "dead-reason", "dead-from", "dead-cut", "dead-redriven"

# Kafka takes a record of 1 MB; what it gave us may have been compressed, and we add headers to it.
_LONGEST, _LONGEST_KEY, _LONGEST_HEADERS = 500_000, 1000, 100_000  # bytes


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
    arrival = parse_arrival(record.partition, record.offset, record.key, record.value, record.headers)
    check_body(arrival)
    return arrival


def letter(record: ConsumerRecord, reason: str) -> Record:
    """The record as it was, with the reason and its place; one that Kafka would not take again is cut, and says so."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    marks = ((REASON, reason.encode()), (FROM, place.encode()))
    key, value, headers = record.key or b"", record.value or b"", tuple(record.headers)
    of_headers = sum(len(name.encode()) + len(told or b"") + 10 for name, told in headers)  # 10: their lengths, at most
    if len(key) + len(value) + of_headers <= _LONGEST:
        return Record(key, value, (*headers, *marks))
    cut = f"key {len(key)}, value {len(value)}, headers {of_headers} bytes"
    kept = headers if of_headers <= _LONGEST_HEADERS else ()
    return Record(key[:_LONGEST_KEY], value[: _LONGEST - _LONGEST_HEADERS], (*kept, *marks, (CUT, cut.encode())))
