"""What a batch of arrivals says beside the events themselves."""

import re
from collections.abc import Iterable

from store.events import Arrival, EventType, NotAnEvent, decode, is_number

_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def ended(arrivals: Iterable[Arrival]) -> list[str]:
    """The sessions that were signed out."""
    return [arrival.sid for arrival in arrivals if arrival.sid and arrival.type is EventType.LOGOUT]


def departed(arrivals: Iterable[Arrival]) -> set[int]:
    """The people whose accounts have ended."""
    return {arrival.actor for arrival in arrivals if arrival.type is EventType.ACCOUNT_DELETED}


def check_body(arrival: Arrival) -> None:
    """Raises NotAnEvent unless the value says the same as the headers, and is whole and fit to be kept."""
    body = decode(arrival.value)
    object, actor = body["object"], body["actor"]
    if (body["id"], body.get("type"), actor["id"]) != (arrival.id, arrival.type, arrival.actor):  # type: ignore[index]
        raise NotAnEvent("the value and the headers speak of different events")
    if not isinstance(actor.get("username"), str):  # type: ignore[attr-defined]
        raise NotAnEvent("an actor without a username")
    at = body.get("at")
    if not isinstance(at, str) or not _AT.fullmatch(at):
        raise NotAnEvent("`at` is not a time in UTC with milliseconds")
    if arrival.type in (EventType.POST, EventType.POST_DELETED) and not is_number(object.get("id")):  # type: ignore[attr-defined]
        raise NotAnEvent("a post without its id")
