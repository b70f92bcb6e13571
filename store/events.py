"""An event: one fact about one author, in the past tense, and its form as a Kafka record."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID

VERSION = b"1"
MAX_VALUE_BYTES = 64 * 1024
_LONGEST_NUMBER = len(str(2**63))  # digits; Python refuses to read numbers of some thousands
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Two servers whose clocks are kept differ by less, and one that takes over from another may be behind it by so much.
_FAR_AHEAD = timedelta(seconds=5)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class EventType(StrEnum):
    """Everything that can happen. The text is the `event:` name on the wire."""

    LOGIN = "login"
    LOGOUT = "logout"
    FOLLOW = "follow"
    UNFOLLOW = "unfollow"
    POST = "post"
    POST_DELETED = "post-deleted"
    SIGN_UP = "sign-up"
    ACCOUNT_DELETED = "account-deleted"


# Word for open pages that something is gone: never part of a feed.
TAKES_BACK = (EventType.POST_DELETED, EventType.ACCOUNT_DELETED)


class NotAnEvent(ValueError):
    """A Kafka record is not one of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who acted, or who was acted upon, as clients see them."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is UTC with milliseconds, `2026-11-23T20:15:04.123Z`; `object` depends on the type (DESIGN.md 3)."""

    id: str
    type: EventType
    at: str
    actor: Person
    object: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Record:
    """What is given to Kafka. Headers never reach a client; the value reaches it byte for byte."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class FollowChange:
    """One turn of a follower/followee pair. The highest `seq` of a pair is the truth, in whatever order they are seen."""

    follower: int
    followee: int
    seq: int
    on: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record as it came out of Kafka, understood just far enough to be delivered; the value stays as it is."""

    partition: int
    offset: int
    id: str
    type: EventType
    actor: int
    value: bytes
    sid: str | None = None
    change: FollowChange | None = None


def is_event_id(text: str) -> bool:
    """Whether the text is a UUID in the one form we write: lower case with hyphens."""
    return _UUID.fullmatch(text) is not None


def first_id(when: datetime) -> str:
    """Below the ids of all events that were made at that time or later (RFC 9562, 5.7: a UUIDv7 begins with milliseconds)."""
    stamp = f"{_milliseconds(when):012x}"
    return f"{stamp[:8]}-{stamp[8:]}-0000-0000-000000000000"


def is_far_ahead(event_id: str, now: datetime) -> bool:
    """Whether an id cannot have been made by a clock that was right: ids that follow it would be wrong for as long."""
    return event_id >= first_id(now + _FAR_AHEAD)


def is_number(value: object) -> TypeGuard[int]:
    """Whether it can be an id or a `seq`: not negative, and MongoDB can keep it."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def new_event(
    type: EventType,
    actor: Person,
    object: Mapping[str, object],
    *,
    now: datetime | None = None,
    after: str | None = None,
) -> Event:
    """An event with a new id: made of `now` alone, or greater than `after` all the same. Pages are in the order of ids."""
    at = (now or datetime.now(UTC)).astimezone(UTC)
    id = str(_uuid7(at))
    if after is not None and id <= after:
        id = str(UUID(int=UUID(after).int + 1))
    return Event(id, type, f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", actor, object)


def _milliseconds(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(milliseconds=1)


def _uuid7(at: datetime) -> UUID:
    """RFC 9562, 5.7: milliseconds, then the part of one that has passed, in 4096ths (6.2, method 3), then 62 random bits."""
    passed = at.microsecond % 1000 * 4096 // 1000
    return UUID(int=_milliseconds(at) << 80 | 7 << 76 | passed << 64 | 2 << 62 | secrets.randbits(62))


def encode(event: Event) -> bytes:
    """The JSON that the record carries and that every client receives: UTF-8, one line."""
    return json.dumps(
        {
            "id": event.id,
            "type": event.type,
            "at": event.at,
            "actor": {"id": event.actor.id, "username": event.actor.username},
            "object": dict(event.object),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def record_of(event_id: str, type: str, actor_id: int, value: bytes, sid: str | None = None) -> Record:
    """The Kafka record of an encoded event. `sid`, on a logout, names the session that ended."""
    headers = (("id", event_id.encode()), ("type", type.encode()), ("v", VERSION))
    return Record(str(actor_id).encode(), value, headers if sid is None else (*headers, ("sid", sid.encode())))


def parse_arrival(
    partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> Arrival:
    """The record as an Arrival. Raises NotAnEvent, and nothing else, for anything that this version would not have written.

    The value of a follow or unfollow is decoded, for what it changes; of others only its first byte and line breaks are looked at.
    """
    fields = dict(headers)
    if key is None or len(key) > _LONGEST_NUMBER or not (key.isdigit() and key.isascii()) or not 0 < int(key) < 2**63:
        raise NotAnEvent(f"key {key!r:.80} is not an author's id")
    if fields.get("v") != VERSION:
        raise NotAnEvent(f"header v is {fields.get('v')!r:.80}, expected {VERSION!r}")
    try:
        type = EventType(_text(fields.get("type")))
        event_id = _text(fields.get("id"))
        sid = _text(fields["sid"]) if "sid" in fields else None
    except ValueError:
        raise NotAnEvent(f"header type {fields.get('type')!r:.80} is unknown, or a header is not UTF-8") from None
    if not is_event_id(event_id):
        raise NotAnEvent(f"header id {event_id!r:.80} is not a UUID")
    if value is None or not value.startswith(b"{") or b"\n" in value or b"\r" in value or len(value) > MAX_VALUE_BYTES:
        raise NotAnEvent("the value is not one line of JSON of at most 64 KiB")
    actor = int(key)
    change = _follow_change(type, actor, value) if type in (EventType.FOLLOW, EventType.UNFOLLOW) else None
    return Arrival(partition, offset, event_id, type, actor, value, sid, change)


def decode(value: bytes) -> dict[str, object]:
    """The value as a mapping, for those that look inside. Raises NotAnEvent if it is not an event's JSON, in UTF-8."""
    try:
        # Given bytes, the parser would take UTF-16 and lone surrogates; unasked, also NaN: no client reads those.
        body = json.loads(value.decode(), parse_constant=_refuse)
        whole = isinstance(body["id"], str) and isinstance(body["object"], dict) and is_number(body["actor"]["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise NotAnEvent("the value is not the JSON of an event")
    return body  # type: ignore[no-any-return]


def actor_of(value: bytes) -> int:
    """Who did it. Raises NotAnEvent if the value is not an event's JSON."""
    return decode(value)["actor"]["id"]  # type: ignore[index,no-any-return]


def _text(header: bytes | None) -> str:
    """Raises ValueError for what is not text; Kafka also allows a header without a value."""
    if not isinstance(header, bytes):
        raise ValueError("a header without a value")
    return header.decode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _follow_change(type: EventType, actor: int, value: bytes) -> FollowChange:
    object = decode(value)["object"]
    assert isinstance(object, dict)
    followee, seq = object.get("id"), object.get("seq")
    if not (is_number(followee) and is_number(seq) and followee and seq):
        raise NotAnEvent("a follow without a followee's id and a seq")
    return FollowChange(actor, followee, seq, type is EventType.FOLLOW)
