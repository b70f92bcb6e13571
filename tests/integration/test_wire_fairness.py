"""Many who replay and one who is live on one connection: turns are taken."""

import asyncio

from tests.integration.wire_peer import speaking
from tests.integration.wire_support import lines, running

_REPLAYING = 200
_POSTS, _POST = 100, 10_000


async def test_200_replays_of_a_megabyte_each_hold_up_no_live_stream_and_none_waits_for_another_to_be_done() -> None:
    async with running(slow_after=60) as node, speaking(node.port) as peer:
        start = node.ring.cursor()
        for n in range(_POSTS):
            node.publish((1, f"{n} " + "x" * _POST))
        node.store.follows |= {7: {5: 1}, **{uid: {1: 1} for uid in range(100, 100 + _REPLAYING)}}
        peer.greet(window=2**31 - 1)
        peer.ask(1, lines(7))
        await peer.until(lambda: b"snapshot" in peer.received[1])
        replays = {3 + 2 * n: 0 for n in range(_REPLAYING)}
        peer.drop.update(replays)
        for uid, sid in enumerate(replays, 100):
            peer.ask(sid, [*lines(uid), ("last-event-id", start)])
        said = 0

        def all_replayed() -> bool:
            return all(peer.sizes.get(sid, 0) > _POSTS * _POST for sid in replays)

        while not all_replayed():
            said += 1
            node.publish((5, f"live {said}"))
            await asyncio.sleep(0.02)
        await peer.until(lambda: peer.received[1].count(b'"live ') == said)

    whole = _POSTS * _POST
    total, heard, had = 0, 0, dict.fromkeys(replays, 0)
    when_half_are_done: list[int] = []
    for sid, size in peer.order:
        total += size
        if sid == 1:
            heard += total < _REPLAYING * whole * 0.9
            continue
        had[sid] += size
        if had[sid] > whole and not when_half_are_done and sum(one > whole for one in had.values()) >= _REPLAYING / 2:
            when_half_are_done = list(had.values())
    print(f"\n{said} live events, {heard} heard while most replays were under way")
    assert heard >= 3
    assert min(when_half_are_done) > whole / 2, "some were served before the others"
