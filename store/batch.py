"""What a batch of arrivals says beside the events themselves."""

from collections.abc import Iterable

from store.events import Arrival, EventType, NotAnEvent, decode


def ended(arrivals: Iterable[Arrival]) -> list[str]:
    """The sessions that were signed out."""
    return [arrival.sid for arrival in arrivals if arrival.sid and arrival.type is EventType.LOGOUT]


def departed(arrivals: Iterable[Arrival]) -> set[int]:
    """The people whose accounts have ended."""
    return {arrival.actor for arrival in arrivals if arrival.type is EventType.ACCOUNT_DELETED}


def check_body(arrival: Arrival) -> None:
    """Raises NotAnEvent unless the value says the same as the headers, and is whole."""
    body = decode(arrival.value)
    object = body["object"]
    if body["id"] != arrival.id or body["actor"]["id"] != arrival.actor or not isinstance(body.get("at"), str):  # type: ignore[index]
        raise NotAnEvent("the value and the headers speak of different events")
    if arrival.type in (EventType.POST, EventType.POST_DELETED) and not isinstance(object.get("id"), int):  # type: ignore[attr-defined]
        raise NotAnEvent("a post without its id")
