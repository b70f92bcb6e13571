"""How every process of ours runs: settings or a clear refusal, logs, health, SIGTERM, and death with any of its tasks."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Blueprint, Quart, Response

from store.settings import SettingsError

Readiness = Callable[[], Awaitable[dict[str, str]]]

_BACKLOG = 4096
_STOP_TIMEOUT = 10  # seconds for requests that are under way at SIGTERM


def main(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs the process. Exit code 2 and one clear message if its settings are wrong, 1 if a task of its died."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    # aiokafka logs what we report ourselves, once per second, while Kafka is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    ease_collector()
    try:
        uvloop.run(run())
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        for leaf in _leaves(error):
            logging.critical("ending, because a task failed: %r", leaf, exc_info=leaf)
        sys.exit(1)


async def serve_until_sigterm(
    app: Quart,
    bind: str,
    *tasks: Coroutine[Any, Any, None],
    drain: Callable[[], Awaitable[None]] | None = None,
    send_buffer: int | None = None,
    unread_for: float | None = None,
) -> None:
    """Serves the app beside the tasks. At SIGTERM or SIGINT: drain, then requests end within 10 s, then the tasks are cancelled.

    `send_buffer` bounds what the kernel keeps for each connection that is not read, in bytes (it takes twice as much), and
    `unread_for` for how long, in seconds: then the connection is lost.
    A task that ends, however it ends, ends everything: a dead background task must not go unseen.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    async def watched(task: Coroutine[Any, Any, None]) -> None:
        await task
        raise RuntimeError("a task that should run for ever has ended")

    async def stopped() -> None:
        await stop.wait()
        if drain is not None:
            await drain()

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(watched(task)) for task in tasks]
        with _listening(bind, send_buffer, unread_for) as listening:
            await serve(app, _config(listening), shutdown_trigger=stopped)
        await cancel(*running)


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    """Cancels the tasks until they have ended. Once is not enough: before Python 3.12 asyncio.wait_for can swallow it."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1)


def ease_collector() -> None:
    """Lets the garbage collector look for cycles seldom: at its default of 700 objects a burst of connections keeps it busy."""
    gc.set_threshold(20_000, 20, 20)


def settle() -> None:
    """Takes everything that is there now out of the garbage collector's sight: it stays, and looking through it takes long."""
    gc.collect()
    gc.freeze()


def heed_cancellation() -> None:
    """Raises CancelledError if the current task was cancelled and a library has swallowed it: for loops that nobody asks twice."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def health(ready: Readiness) -> Blueprint:
    """GET /healthz, /readyz and /metrics. `ready` says what is missing: not ready as long as there is anything."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @blueprint.get("/readyz")
    async def readyz() -> tuple[dict[str, object], int]:
        missing = await ready()
        return {"ready": not missing, "missing": missing}, 503 if missing else 200

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return blueprint


@contextmanager
def _listening(bind: str, send_buffer: int | None = None, unread_for: float | None = None) -> Iterator[socket.socket]:
    """A socket made here, because what it is set to holds for every connection that it accepts."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if unread_for is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unread_for * 1000))
        try:
            listening.bind((host.strip("[]"), int(port)))
        except (OSError, ValueError) as error:
            raise SettingsError(f"cannot listen on {bind}: {error}; it is to be host:port, and free") from None
        listening.listen(_BACKLOG)
        yield listening


def _config(listening: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # it is Hypercorn that closes it: twice would be once too often
    config.backlog = _BACKLOG
    config.graceful_timeout = _STOP_TIMEOUT
    config.keep_alive_timeout = 75  # longer than the edge keeps an idle connection, so that it never meets a closed one
    config.h11_max_incomplete_size = 32 * 1024
    config.websocket_max_message_size = 16 * 1024  # a token is all that a client says
    config.websocket_ping_interval = 20  # so that a client that is gone shows as one
    config.errorlog = logging.getLogger("hypercorn")
    config.include_server_header = False
    return config


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
