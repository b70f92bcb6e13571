"""What a batch of arrivals says beside the events themselves."""

import re
from collections.abc import Iterable

from store.events import Arrival, EventType, NotAnEvent, decode, is_number

_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def ended(arrivals: Iterable[Arrival]) -> list[str]:
    """The sessions that were signed out."""
    return [arrival.sid for arrival in arrivals if arrival.sid and arrival.type is EventType.LOGOUT]


def departed(arrivals: Iterable[Arrival]) -> set[int]:
    """The people whose accounts have ended."""
    return {arrival.actor for arrival in arrivals if arrival.type is EventType.ACCOUNT_DELETED}


def check_body(arrival: Arrival) -> None:
    """Raises NotAnEvent unless the value says the same as the headers, and is whole and fit to be kept."""
    body = decode(arrival.value)
    object = body["object"]
    if body["id"] != arrival.id or body["actor"]["id"] != arrival.actor:  # type: ignore[index]
        raise NotAnEvent("the value and the headers speak of different events")
    at = body.get("at")
    if not isinstance(at, str) or not _AT.fullmatch(at):
        raise NotAnEvent("`at` is not a time in UTC with milliseconds")
    if arrival.type in (EventType.POST, EventType.POST_DELETED) and not is_number(object.get("id")):  # type: ignore[attr-defined]
        raise NotAnEvent("a post without its id")
