"""The channel on which the API tells every node at once of sessions that have ended, beside the event in the log.

It is Redis's publish/subscribe and not a stream of Redis's: nobody has to read it again later. An end is marked in Redis in the
transaction that publishes it, so whoever did not listen for a while asks for the marks of the sessions it has open. A stream would
be a second memory beside the marks, to be bounded and trimmed, and would be lost with them.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from store.breaker import Breaker
from store.settings import Settings
from store.timelines import Unknown, redis_or_unknown

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 1.0  # for Redis, each time
_CONNECT_SECONDS = 3.0  # to connect, greet and subscribe
_QUIET_SECONDS = (
    0.5  # without a message: then Redis is asked whether it is still there. A node that hears nothing knows it in 1.5 s
)
_END = re.compile(rb"([1-9][0-9]{0,15})(?::([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """A session of the user's is over; all of them where `sid` is None: the account is gone."""

    uid: int
    sid: str | None = None


def channel_of(redis: "Redis") -> str:
    """Channels are of the whole server: systems that share one, each with a database of its own, do not hear of each other."""
    return f"session-ends:{redis.connection_pool.connection_kwargs.get('db') or 0}"


def encode_ends(ends: Iterable[SessionEnd]) -> bytes:
    """A message: `uid:sid`, or `uid` for all of the user's, with blanks in between."""
    return b" ".join(b"%d" % end.uid if end.sid is None else f"{end.uid}:{end.sid}".encode() for end in ends)


def parse_ends(message: object) -> list[SessionEnd]:
    """The ends in a message. What is none is logged and left out."""
    found = []
    for word in message.split() if isinstance(message, bytes) else [message]:
        match = _END.fullmatch(word) if isinstance(word, bytes) else None
        if match is None:
            log.warning("a message on the channel of ends has %.100r, which is none", word)
        else:
            found.append(SessionEnd(int(match[1]), match[2].decode() if match[2] else None))
    return found


class SessionEnds:
    """A subscription. From its beginning on it misses nothing, until `next` raises Unknown: then it is over."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription  # redis.asyncio.client.PubSub

    async def next(self) -> list[SessionEnd]:
        """The ends that a message tells of; none when it was quiet for a moment. Raises Unknown when Redis does not answer."""
        with redis_or_unknown():
            message = await self._subscription.get_message(timeout=_QUIET_SECONDS)
            if message is None:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._subscription.ping()
                message = await self._subscription.get_message(timeout=_ANSWER_SECONDS)
        if message is None:
            raise Unknown("Redis has not answered on the channel of ends")
        # The library has connected anew by itself, and something may have been missed.
        if message["type"] == "subscribe":
            raise Unknown("the subscription to the channel of ends was lost")
        return parse_ends(message["data"]) if message["type"] == "message" else []


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[SessionEnds]:
    """Subscribed, on a connection of its own, until the block is left. Raises Unknown when Redis is not there."""
    client = Redis.from_url(
        settings.redis_url,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_ANSWER_SECONDS,
        retry=Breaker(),
    )
    with redis_or_unknown():  # closing may fail too
        async with client, client.pubsub() as subscription:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await subscription.subscribe(channel_of(client))
                confirmed = await subscription.get_message(timeout=_ANSWER_SECONDS)
            if confirmed is None or confirmed["type"] != "subscribe":
                raise Unknown("Redis has not confirmed the subscription to the channel of ends")
            yield SessionEnds(subscription)
