"""Tasks that take turns, one call at a time, in an order that a test chooses: every interleaving of their calls can be tried."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

_name: ContextVar[str] = ContextVar("name")
_STUCK = 20.0  # seconds; a task that is at no call for so long waits for another, which this cannot let go on


class Schedule:
    """`call` is awaited before each call to a server; `run` lets one task at a time go on to its next one."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._moved = asyncio.Event()

    async def call(self) -> None:
        """Waits until it is this task's turn. At once in tasks that `run` did not start."""
        if (name := _name.get("")) != "":
            self._waiting[name] = asyncio.get_running_loop().create_future()
            self._moved.set()
            await self._waiting[name]

    async def run(self, tasks: Mapping[str, Callable[[], Awaitable[None]]], choose: Callable[[list[str]], str]) -> None:
        """Runs the tasks to their ends; `choose` picks one of those that can go on."""
        alive = {name: asyncio.create_task(self._named(name, task)) for name, task in tasks.items()}
        try:
            while alive:
                async with asyncio.timeout(_STUCK):
                    while not alive.keys() <= self._waiting.keys() | {n for n, one in alive.items() if one.done()}:
                        self._moved.clear()
                        await self._moved.wait()
                for name in [name for name, task in alive.items() if task.done()]:
                    alive.pop(name).result()
                if waiting := sorted(self._waiting.keys() & alive.keys()):
                    self._waiting.pop(choose(waiting)).set_result(None)
        finally:
            for task in alive.values():
                task.cancel()

    async def _named(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        _name.set(name)
        try:
            await task()
        finally:
            self._moved.set()


class SteppedRedis(Redis):
    """Redis, to which each command is a call of its own, those of a pipeline too: by TCP they may come one after the other.

    A pipeline that is a transaction is one call.
    """

    schedule: Schedule

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self.schedule.call()
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _SteppedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.of = self
        return made


@asynccontextmanager
async def stepped_redis(url: str, schedule: Schedule) -> AsyncIterator[SteppedRedis]:
    """An empty Redis whose every command is one of the schedule's calls."""
    async with cast("SteppedRedis", SteppedRedis.from_url(url)) as client:
        client.schedule = schedule
        await client.flushdb()
        yield client


class _SteppedPipeline(Pipeline):
    of: SteppedRedis

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        if self.is_transaction:
            await self.of.schedule.call()
            return await super().execute(raise_on_error)
        stack, self.command_stack = self.command_stack, []
        if self.scripts:
            await self.load_scripts()  # type: ignore[no-untyped-call]
        return [await self.of.execute_command(*args, **options) for args, options in stack]
