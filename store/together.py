"""Together: questions that come in the same moment are asked in one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_AT_MOST = (
    50  # questions a trip: what follows an answer is done for all of them at once, and events are to go out in between
)
_UNDER_WAY = 2  # trips; while so many are, questions wait, and go together when one is back


class Together(Generic[Q, A]):
    """Calls `ask` with the questions of a moment; it gives their answers in their order, or raises for all of them.

    It never answers from before: a question is asked after it came. `ask` is to be bounded in time, as nothing here is.
    """

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], at_most: int = _AT_MOST) -> None:
        """`at_most` questions a trip."""
        self._ask, self._at_most = ask, at_most
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._trips: set[asyncio.Task[None]] = set()
        self._starting = False

    async def __call__(self, question: Q) -> A:
        """The answer. Who is cancelled meanwhile takes nothing from the others."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, answer))
        if not self._starting:
            self._starting = True
            loop.call_soon(self._start)
        return await answer

    def _start(self) -> None:
        self._starting = False
        while self._waiting and len(self._trips) < _UNDER_WAY:
            some, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
            if asked := [one for one in some if not one[1].done()]:
                trip = asyncio.create_task(self._go(asked))
                self._trips.add(trip)
                trip.add_done_callback(self._ended)

    def _ended(self, trip: "asyncio.Task[None]") -> None:
        self._trips.discard(trip)
        self._start()

    async def _go(self, some: list[tuple[Q, "asyncio.Future[A]"]]) -> None:
        try:
            answers = await self._ask([question for question, _ in some])
            for (_, waiting), answer in zip(some, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
        except Exception as error:
            for _, waiting in some:
                if not waiting.done():
                    waiting.set_exception(error)
        finally:
            for _, waiting in some:
                waiting.cancel()  # nothing but for a trip that was cancelled itself
