"""A node that is stopped, as the edge sees it on the wire: G6."""

import signal
import time

from tests.faults.beside import Beside
from tests.integration.wire_support import connected, lines

_DRAIN = 2


async def test_g6_a_node_that_is_stopped_asks_for_no_more_streams_and_only_then_ends_those_it_has_evenly(
    beside: Beside,
) -> None:
    secret = beside.system.env["EDGE_SECRET"]
    ended: dict[int, float] = {}
    async with (
        beside.node(DRAIN=str(_DRAIN)) as node,
        connected(int(node.wire.rpartition(":")[2])) as socket,
    ):
        sids = [socket.ask(lines(beside.uid(), secret=secret)) for _ in range(40)]
        for sid in sids:
            await socket.live(sid)
        node.process.send_signal(signal.SIGTERM)
        await socket.until(lambda: socket.client.went_away or socket.client.ended, "GOAWAY")
        before = set(socket.client.ended)
        late = socket.ask(lines(beside.uid(), secret=secret))

        def all_ended() -> bool:
            now = time.monotonic()
            for sid in socket.client.ended:
                ended.setdefault(sid, now)
            return set(sids) <= set(ended)

        await socket.until(all_ended, "byes", 20)
        code = await node.process.wait()

    assert socket.client.went_away == [0] and not before
    assert [(got.event, got.data["reason"]) for got in socket.events(late)] == [("bye", "drain")]
    assert {socket.events(sid)[-1].data["reason"] for sid in sids} == {"drain"}
    at = sorted(ended[sid] for sid in sids)
    assert at[-1] - at[0] > _DRAIN / 2 and at[len(at) // 2] - at[0] > _DRAIN / 8, "all at once"
    assert code == 0
