"""The highest numbers of what was kept."""

from store.events import EventType
from store.highest import Highest, highest_of
from tests.unit.logs import Log


def test_the_highest_of_a_batch_are_of_all_its_events_whatever_their_order() -> None:
    log = Log()
    events = [
        log.append(9, id=5, text="x"),
        log.append(3, EventType.POST_DELETED, id=7),
        log.append(4, EventType.LOGIN),
    ]

    found = highest_of(reversed(events))

    assert found == {"actor": 9, "post": 7, "event": f"{events[-1].id} 4"}
    assert Highest.parse(found) == Highest(9, 7, events[-1].id, 4)
    assert highest_of([]) == {}
    assert highest_of(events[-1:]).keys() == {"actor", "event"}
