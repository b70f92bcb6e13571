"""The stile: where the links of a node take their turns, so that a very large fan-out leaves the loop to others."""

import asyncio
from collections import deque
from typing import Protocol

_AT_ONCE = (
    0.02  # seconds of turns, one after the other, before the loop sees to everybody else; a health check waits for 1
)


class Walker(Protocol):
    """Somebody who asks for turns."""

    def turn(self) -> None:
        """Does what is due; never raises."""


class Stile:
    """Turns in the order in which they were asked for, as many together as take no longer than a moment."""

    def __init__(self) -> None:
        self._waiting: deque[Walker] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_open = False

    def ask(self, walker: Walker) -> None:
        """A turn for this one, soon."""
        self._waiting.append(walker)
        if not self._is_open:
            self._is_open = True
            self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        until = self._loop.time() + _AT_ONCE
        while self._waiting:
            self._waiting.popleft().turn()
            if self._loop.time() > until:
                break
        self._is_open = bool(self._waiting)
        if self._is_open:
            self._loop.call_soon(self._pass)
