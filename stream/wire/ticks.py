"""What time brings to the streams of a link: heartbeats, warnings, expiry. One look at all of them, twice a second."""

import logging
from array import array

from stream.wire.lane import Lane
from stream.wire.link import Link
from stream.wire.outlet import Outlet, anew
from stream.words import AHEAD_AT_MOST, beat, heartbeat, is_ahead, is_over, seconds_to_word, warning

log = logging.getLogger(__name__)


def tick(link: Link) -> None:
    """Does what is due. Ends a connection of which the edge has taken nothing for SLOW_AFTER seconds.

    HAProxy gives a stream's window back when it has received, not when its client has taken. What stalled clients leave fills the
    buffers that a connection has there (tune.h2.be.rxbuf), and then nothing is read for anybody until `timeout client` ends them.
    """
    now = link.loop.time()
    link.core.tick()
    if link.stuck_for(now) > link.node.settings.slow_after:
        log.warning("a connection from the edge is stuck: its %d streams have to come back", len(link.outlets))
        link.meters.ended.labels("stuck").inc(len(link.outlets))
        link.abort()
        return
    link.turn()  # so that no heartbeat's cursor is ahead of what was delivered; one that lags or is not read gets none
    beats: dict[Lane, list[int]] = {link.sse: [], link.ws: []}
    for outlet in [outlet for outlet in link.outlets.values() if outlet.at <= now]:
        if outlet.task is None and not outlet.last:
            _look_at(outlet, now, beats[outlet.lane])
        outlet.end_if_deaf(now)
        outlet.at = _next_look_at(outlet, now)
    for lane, numbers in beats.items():
        if numbers:
            _beat(link, lane, array("I", numbers))
    link.turn()


def _next_look_at(outlet: Outlet, now: float) -> float:
    begun = outlet.link.trailing.get(outlet.number, float("inf"))
    return min(outlet.beat_at, now + max(0.0, seconds_to_word(outlet)), begun + AHEAD_AT_MOST)


def _look_at(outlet: Outlet, now: float, beats: list[int]) -> None:
    link = outlet.link
    begun = link.trailing.get(outlet.number)
    if is_over(outlet) or (begun is not None and not is_ahead(outlet, link.ring)):
        outlet.want_turn()
    elif begun is not None and now > begun + AHEAD_AT_MOST:
        del link.trailing[outlet.number]
        outlet.open(anew(outlet))
    elif word := warning(outlet):
        outlet.say(outlet.lane.encode(word))
    if now >= outlet.beat_at and not link.lags and link.paused_since is None:
        outlet.beat_at = now + link.heartbeat
        if outlet.live:
            beats.append(outlet.number)
        elif outlet.place is None and not outlet.rest and not outlet.last:
            outlet.say(outlet.lane.encode(heartbeat(outlet, link.ring)))


def _beat(link: Link, lane: Lane, numbers: "array[int]") -> None:
    """The same heartbeat for all who are live. Whoever has no room for it is behind, with it."""
    frame = lane.encode(beat(link.ring.cursor()))
    written, short = link.core.windows.spread(numbers, frame)
    if written:
        link.core.out.append(written)
    link.count(lane, len(numbers) - len(short))
    for number in short:
        link.outlets[number].say(frame)
