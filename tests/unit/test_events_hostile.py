"""Whatever stands in the log, it is an event that can be kept or a dead letter that Kafka takes: nothing stops who reads it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import bson
import pytest
from aiokafka import ConsumerRecord
from hypothesis import example, given
from hypothesis import strategies as some

from store.archive_writes import documents_of
from store.batch import departed, ended
from store.dead import CUT, FROM, REASON, letter, understood
from store.dead_letters import letters_of
from store.events import EventType, NotAnEvent, Person, encode, new_event, parse_arrival, record_of

Headers = Sequence[tuple[str, bytes | None]]

POST = new_event(EventType.POST, Person(4, "tester2"), {"id": 1, "text": "hé"})
GOOD = record_of(POST.id, POST.type, 4, encode(POST))
BODY = {
    "id": POST.id,
    "type": "post",
    "at": POST.at,
    "actor": {"id": 4, "username": "tester2"},
    "object": {"id": 1, "text": "x"},
}
KAFKA_TAKES = 1024 * 1024  # bytes, key, value, headers and all


def consumed(key: bytes | None, value: bytes | None, headers: Headers) -> Any:
    sizes = (len(key or b""), len(value or b""))
    return ConsumerRecord("events", 3, 17, 0, 0, key, value, None, *sizes, tuple(headers))


def changed(**fields: object) -> bytes:
    return json.dumps({**BODY, **fields}).encode()


def with_header(name: str, value: bytes | None) -> Headers:
    return [*GOOD.headers, (name, value)]  # of two headers of one name the last counts


# JSON as others write it: a body of ours in which anything may stand anywhere.
leaves = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text()
    | some.sampled_from(["4", POST.id, POST.at])
)
anything = some.recursive(leaves, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=5)
bodies = some.dictionaries(some.sampled_from([*BODY, "x"]), anything).map(lambda fields: changed(**fields))
values = some.none() | some.binary() | bodies | some.just(GOOD.value) | some.binary().map(lambda tail: b"{" + tail)
keys = some.none() | some.binary() | some.just(GOOD.key) | some.integers().map(lambda number: str(number).encode())
header_values = some.none() | some.binary() | some.sampled_from([*map(str.encode, EventType), POST.id.encode(), b"1"])
headers = some.lists(some.tuples(some.sampled_from(["id", "type", "v", "sid", "x"]), header_values)).map(
    lambda more: [*GOOD.headers, *more]
) | some.lists(some.tuples(some.text(), header_values))

SURROGATE = changed(object={"id": 1, "text": "?"}).replace(b"?", b"\xed\xa0\x80")


@example(b"4" * 4301, GOOD.value, GOOD.headers)
@example(GOOD.key, GOOD.value, with_header("type", None))
@example(GOOD.key, GOOD.value, with_header("id", None))
@example(GOOD.key, GOOD.value, with_header("sid", None))
@example(GOOD.key, GOOD.value, with_header("x", None))
@example(GOOD.key, SURROGATE, GOOD.headers)
@example(GOOD.key, changed(object={"id": 2**63}), GOOD.headers)
@example(b"9" * 900_000, b"x" * 900_000, [("x" * 900_000, b"x" * 900_000)])
@given(keys, values, headers)
def test_a_record_is_an_event_that_can_be_kept_or_a_dead_letter_that_kafka_takes(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    with suppress(NotAnEvent):
        parse_arrival(3, 17, key, value, headers)

    arrivals, dead = understood([consumed(key, value, headers)])

    assert len(arrivals) + len(dead) == 1
    for document in documents_of("0badcafe", arrivals):
        assert bson.decode(bson.encode(document))["body"].encode() == value
    assert ended(arrivals) is not None and departed(arrivals) is not None
    for one in dead:
        size = len(one.key) + len(one.value) + sum(len(name.encode()) + len(told or b"") for name, told in one.headers)
        assert size < KAFKA_TAKES * 0.9


@pytest.mark.parametrize(
    "value",
    [
        SURROGATE,
        changed(object={"id": 1, "x": float("nan")}),
        changed(object={"id": 1, "x": float("-inf")}),
        GOOD.value.decode().encode("utf-16-le"),
        changed(type="login"),
        changed(actor={"id": 4}),
        changed(actor={"id": 4, "username": None}),
        changed(actor={"id": 4.0, "username": "x"}),
        changed(at="२०२६-11-23T20:15:04.123Z"),
    ],
)
def test_what_clients_could_not_read_or_would_read_otherwise_is_not_kept(value: bytes) -> None:
    arrivals, [dead] = understood([consumed(GOOD.key, value, GOOD.headers)])

    assert (arrivals, dead.value) == ([], value)


def test_somebody_whose_id_is_true_is_nobody() -> None:
    arrivals, [_] = understood([consumed(b"1", changed(actor={"id": True, "username": "x"}), GOOD.headers)])

    assert arrivals == []


def test_a_dead_letter_that_was_cut_says_so_and_how_long_it_was() -> None:
    record = letter(consumed(b"4", b"x" * 900_000, with_header("x", None)), "too long")

    headers = dict(record.headers)
    assert headers[CUT] == b"key 1, value 900000, headers %d bytes" % sum(
        len(name) + len(value or b"") + 10 for name, value in with_header("x", None)
    )
    assert (headers[REASON], headers[FROM], headers["x"]) == (b"too long", b"events/3/17", None)
    [read] = letters_of([consumed(record.key, record.value, record.headers)])
    assert "it was cut" in read.cut and len(read.record.value) < 900_000
    assert CUT not in dict(letter(consumed(b"4", b"x" * 400_000, ()), "too long").headers)
