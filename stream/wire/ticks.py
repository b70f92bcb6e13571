"""What time brings to the streams of a link: heartbeats, warnings, expiry. One look at all of them, twice a second."""

import logging
from array import array

from stream import lifecycle
from stream.lifecycle import Now, Step
from stream.reasons import EndReason
from stream.wire.lane import Lane
from stream.wire.link import Link
from stream.wire.outlet import Outlet, anew

log = logging.getLogger(__name__)


def tick(link: Link) -> None:
    """Does what is due. Ends a connection of which the edge has taken nothing for SLOW_AFTER seconds.

    HAProxy gives a stream's window back when it has received, not when its client has taken. What stalled clients leave fills the
    buffers that a connection has there (tune.h2.be.rxbuf), and then nothing is read for anybody until `timeout client` ends them.
    """
    now = Now.read()
    link.core.tick()
    if link.stuck_for(link.loop.time()) > link.node.settings.slow_after:
        log.warning("a connection from the edge is stuck: its %d streams have to come back", len(link.outlets))
        for outlet in link.outlets.values():
            lifecycle.end(outlet, EndReason.STUCK, now.monotonic)
        link.abort()
        return
    link.turn()  # so that no heartbeat's cursor is ahead of what was delivered; one that lags or is not read gets none
    beats: dict[Lane, list[int]] = {link.sse: [], link.ws: []}
    at = now.monotonic
    for outlet in [outlet for outlet in link.outlets.values() if outlet.at <= at]:
        _look_at(outlet, now, beats[outlet.lane])
        outlet.at = lifecycle.look_at(outlet, now, link.slow_after)
    for lane, numbers in beats.items():
        if numbers:
            _beat(link, lane, array("I", numbers), now)
    link.turn()


def _look_at(outlet: Outlet, now: Now, beats: list[int]) -> None:
    link = outlet.link
    is_blocked = link.paused_since is not None
    is_trailing = outlet.ahead_since is not None and outlet.place is None
    if is_trailing and not lifecycle.reach_head(outlet, link.ring, now.monotonic):
        outlet.want_turn()
    match lifecycle.next_step(outlet, now, link.slow_after, is_blocked=is_blocked):
        case Step.CUT:
            lifecycle.end(outlet, lifecycle.due_end(outlet, now) or EndReason.SLOW, now.monotonic)
            outlet.cut()
        case Step.END:
            lifecycle.expire(outlet, now)
            outlet.want_turn()
        case Step.RESYNC:
            del link.trailing[outlet.number]
            outlet.open(anew(outlet))
        case Step.FORGET_REPEATS:
            lifecycle.forget_repeats(outlet)
            outlet.want_turn()
        case Step.WARNING:
            outlet.say(outlet.lane.encode(lifecycle.warning(outlet)))
        case Step.HEARTBEAT if not link.lags and not is_blocked:
            outlet.beat_at = now.monotonic + link.heartbeat
            if outlet.live:
                beats.append(outlet.number)
            elif outlet.place is None and not outlet.rest:
                outlet.say(outlet.lane.encode(lifecycle.heartbeat(outlet, link.ring, now)))


def _beat(link: Link, lane: Lane, numbers: "array[int]", now: Now) -> None:
    """The same heartbeat for all who are live. Whoever has no room for it is behind, with it."""
    frame = lane.encode(lifecycle.beat(link.ring.cursor(), now))
    written, short = link.core.windows.spread(numbers, frame)
    if written:
        link.core.out.append(written)
    link.count(lane, len(numbers) - len(short))
    for number in short:
        link.outlets[number].say(frame)
