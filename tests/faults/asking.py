"""Requests of somebody who does not give up: refused or cut, they are sent again."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.people import Person
from tests.faults.deeds import Tally

_AGAIN = 0.2  # seconds after which a refused request is tried again
_REFUSALS = {502, 503, 504}


@dataclass(frozen=True, slots=True)
class Asking:
    """What `person` asks, and `tally` of the answers."""

    person: Person
    tally: Tally

    async def until(self, what: tuple[str, str], *good: int, **rest: Any) -> httpx.Response:
        """The answer that was neither cut nor a refusal for now; it must be one of the good ones."""
        began = time.monotonic()
        answer = await self.once(*what, **rest)
        while answer is None:
            await asyncio.sleep(_AGAIN)
            answer = await self.once(*what, **rest)
        if what[0] != "GET":
            self.tally.longest = max(self.tally.longest, time.monotonic() - began)
        assert answer.status_code in good, answer.text
        return answer

    async def once(self, method: str, path: str, **rest: Any) -> httpx.Response | None:
        """The answer; None if the request was cut, or refused for now."""
        kind, began = "read" if method == "GET" else "write", time.monotonic()
        answer: httpx.Response | None = None
        with suppress(httpx.TransportError):
            answer = await self.person.call(method, path, **rest)
            self.person.client.cookies.clear()
        said = answer.status_code if answer is not None else "cut"
        self.tally.answers[f"{kind} {said}"] += 1
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
        if answer is None or answer.status_code in _REFUSALS:
            self.tally.last_refused = time.monotonic()
            return None
        return answer
