"""What is not an event of ours is refused at the door, with the reason."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest

from store.events import (
    EventType,
    FollowChange,
    NotAnEvent,
    Person,
    Record,
    decode,
    encode,
    first_id,
    is_event_id,
    is_far_ahead,
    new_event,
    parse_arrival,
    record_of,
)

TESTER = Person(4, "tester2")


def made(type: EventType = EventType.POST, object: dict[str, object] | None = None) -> Record:
    event = new_event(type, TESTER, object if object is not None else {"id": 1, "text": "hé\nllo"})
    return record_of(event.id, event.type, TESTER.id, encode(event))


def test_the_value_is_the_documented_json_in_one_line() -> None:
    event = new_event(
        EventType.POST, TESTER, {"id": 9, "text": "a\nb"}, now=datetime(2026, 11, 23, 20, 15, 4, 123456, UTC)
    )

    body = decode(encode(event))

    assert b"\n" not in encode(event)
    assert body == {
        "id": event.id,
        "type": "post",
        "at": "2026-11-23T20:15:04.123Z",
        "actor": {"id": 4, "username": "tester2"},
        "object": {"id": 9, "text": "a\nb"},
    }


TOMORROW = datetime(2026, 11, 29, 20, 15, 4, 123000, UTC)
TODAY = TOMORROW - timedelta(days=1)


def test_an_id_is_made_of_the_time_that_is_given_and_no_other_is_remembered() -> None:
    new_event(EventType.LOGIN, TESTER, {}, now=TOMORROW)
    event = new_event(EventType.LOGIN, TESTER, {}, now=TODAY)

    assert first_id(TODAY) <= event.id < first_id(TODAY + timedelta(milliseconds=1))
    assert (UUID(event.id).version, UUID(event.id).variant) == (7, RFC_4122)
    assert is_event_id(event.id)


def test_ids_of_one_author_grow_though_their_time_stands_still_or_goes_back() -> None:
    ids = [new_event(EventType.LOGIN, TESTER, {}, now=TODAY).id]
    for back in (0, 0, 1, 4000, 0, 4999):
        ids.append(new_event(EventType.LOGIN, TESTER, {}, now=TODAY - timedelta(milliseconds=back), after=ids[-1]).id)

    assert ids == sorted(set(ids))


@pytest.mark.parametrize(("ahead", "is_far"), [(-1000, False), (0, False), (4999, False), (5000, True), (10**8, True)])
def test_an_id_from_a_clock_that_was_far_ahead_is_known(ahead: int, is_far: bool) -> None:
    event = new_event(EventType.LOGIN, TESTER, {}, now=TODAY + timedelta(milliseconds=ahead))

    assert is_far_ahead(event.id, TODAY) is is_far


def test_ids_sort_in_the_order_in_which_events_were_made() -> None:
    ids = [new_event(EventType.LOGIN, TESTER, {}).id for _ in range(1000)]

    assert ids == sorted(ids) and len(set(ids)) == 1000


def test_a_record_comes_back_as_it_was_made() -> None:
    record = made()

    arrival = parse_arrival(3, 17, record.key, record.value, record.headers)

    assert (arrival.partition, arrival.offset, arrival.actor, arrival.type) == (3, 17, 4, EventType.POST)
    assert arrival.value == record.value


def test_a_follow_says_what_it_changes() -> None:
    record = made(EventType.UNFOLLOW, {"id": 1, "username": "janitor", "seq": 6})

    arrival = parse_arrival(0, 0, record.key, record.value, record.headers)

    assert arrival.change == FollowChange(4, 1, 6, on=False)


def test_the_session_of_a_logout_is_in_a_header_and_not_in_what_clients_get() -> None:
    event = new_event(EventType.LOGOUT, TESTER, {})
    record = record_of(event.id, event.type, 4, encode(event), sid="the-session")

    assert parse_arrival(0, 0, record.key, record.value, record.headers).sid == "the-session"
    assert b"the-session" not in record.value


GOOD = made()


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, GOOD.value, GOOD.headers),
        (b"", GOOD.value, GOOD.headers),
        (b"-4", GOOD.value, GOOD.headers),
        (b"0", GOOD.value, GOOD.headers),
        ("٤".encode(), GOOD.value, GOOD.headers),
        (b"9" * 30, GOOD.value, GOOD.headers),
        (GOOD.key, None, GOOD.headers),
        (GOOD.key, b"", GOOD.headers),
        (GOOD.key, b"[]", GOOD.headers),
        (GOOD.key, b"{\n}", GOOD.headers),
        (GOOD.key, b"{\r}", GOOD.headers),
        (GOOD.key, b"{" + b" " * 70_000, GOOD.headers),
        (GOOD.key, GOOD.value, ()),
        (GOOD.key, GOOD.value, (("id", b"x"), ("type", b"post"), ("v", b"1"))),
        (GOOD.key, GOOD.value, (GOOD.headers[0], ("type", b"explode"), ("v", b"1"))),
        (GOOD.key, GOOD.value, (GOOD.headers[0], ("type", b"\xff"), ("v", b"1"))),
        (GOOD.key, GOOD.value, (*GOOD.headers[:2], ("v", b"2"))),
        (GOOD.key, b'{"object":{}}', (GOOD.headers[0], ("type", b"follow"), ("v", b"1"))),
    ],
)
def test_what_is_not_ours_is_refused_with_a_reason(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    with pytest.raises(NotAnEvent, match=r"\w+ \w+"):
        parse_arrival(0, 0, key, value, headers)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"null", b"[]", b'{"id":1}', b"[" * 100_000, b"\xff", b'{"id":"x","object":[],"actor":{}}']
)
def test_a_value_that_is_no_event_is_refused_where_it_is_decoded(value: bytes) -> None:
    with pytest.raises(NotAnEvent):
        decode(value)
