"""Hears from Redis of sessions that have ended, before the log tells it, and while the log cannot be read."""

import asyncio
import logging
import random
import time
from contextlib import suppress

from store.process import heed_cancellation
from store.session_ends import SessionEnd, listening
from store.timelines import Unknown
from stream.node import Node

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries to listen


async def hear_session_ends(node: Node) -> None:
    """For ever. Whoever ended while the node did not listen is asked for when it does, and at each heartbeat until then.

    The log tells the same. Each of the two is enough, so that neither Redis nor Kafka alone keeps an ended stream open.
    """
    pause, asked_at = _FIRST_PAUSE, time.monotonic()
    while True:
        heed_cancellation()
        try:
            async with listening(node.settings) as ends:
                await _ask_for_all(node)
                while True:
                    heed_cancellation()
                    _hear(node, await ends.next())
                    if pause > _FIRST_PAUSE:
                        log.info("ends of sessions are heard of from Redis again")
                    pause = _FIRST_PAUSE
        except Unknown as error:
            if pause == _FIRST_PAUSE:
                log.warning("ends of sessions are heard of from the log alone: %s", error)
        if time.monotonic() >= asked_at + node.settings.heartbeat:
            asked_at = time.monotonic()
            with suppress(Unknown):
                await _ask_for_all(node)
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _ask_for_all(node: Node) -> None:
    """Asks Redis for every session that has a stream here. Raises Unknown."""
    if node.hub is not None and len(node.hub):
        _hear(node, await node.sessions.ended_among({(stream.uid, stream.sid) for stream in node.hub}))


def _hear(node: Node, ends: list[SessionEnd]) -> None:
    if node.hub is not None:  # before the tail knows the topic there are no streams
        for end in ends:
            node.hub.hear_end(end.uid, end.sid)
