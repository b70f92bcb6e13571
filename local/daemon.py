"""The supervisor as a process of its own, detached from the shell that began it."""

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from local import control, environment
from local.control import Message
from local.place import PROJECT
from local.plan import PROCESSES, specs
from local.process import Failed, State
from local.site import Site
from local.status import Status
from local.supervisor import Supervisor

log = logging.getLogger("local")

_START_ONE_WITHIN = 60


class AlreadyRunning(Exception):
    """Another supervisor holds this directory."""


def socket_of(site: Site) -> Path:
    return site.place.sockets / "control.sock"


def pid_file(directory: Path) -> Path:
    return directory / "supervisor.pid"


def holder(directory: Path) -> int | None:
    """The pid of the supervisor of this directory, if one lives. The lock tells, not the number: numbers are used again."""
    with suppress(FileNotFoundError), pid_file(directory).open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdigit() else None
    return None


def begin(site: Site) -> None:
    """Starts the supervisor in a session of its own and returns at once."""
    with site.place.log("supervisor").open("ab") as out:
        subprocess.Popen(
            (sys.executable, "-m", "local", "supervise", str(site.front), str(site.stats)),
            cwd=PROJECT,
            env={**os.environ, "LOCAL_DIR": str(site.place.directory), "LOCAL_SOFTWARE": str(site.place.software)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


async def supervise(site: Site) -> None:
    """Runs the system until `down`, SIGTERM or SIGINT. Raises AlreadyRunning."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for noisy in ("aiokafka", "httpx", "httpcore", "pymongo"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    lock = _hold(pid_file(site.place.directory))
    environment.write(site)
    supervisor = Supervisor(specs(site), site.place.logs, lambda name, text: log.info("%s: %s", name, text))
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    desk = Desk(supervisor, end)
    server = await control.serve(socket_of(site), desk.answer)
    starting = asyncio.create_task(desk.start_all())
    await end.wait()
    starting.cancel()
    await supervisor.stop()
    desk.ended.set()
    log.info("everything has ended")
    await asyncio.sleep(0.05)  # the last answers are still being written
    server.close()
    socket_of(site).unlink(missing_ok=True)
    pid_file(site.place.directory).unlink(missing_ok=True)
    lock.close()


def _hold(path: Path) -> IO[str]:
    file = path.open("a+")
    for attempt in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == 9:
                raise AlreadyRunning(f"{path} is held by another supervisor") from None
            time.sleep(0.05)  # `holder` holds it too, for a moment
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


class Desk:
    """Carries out what commands ask of the supervisor."""

    def __init__(self, supervisor: Supervisor, end: asyncio.Event) -> None:
        self._supervisor, self._end = supervisor, end
        self.ended = asyncio.Event()

    async def start_all(self) -> None:
        try:
            await self._supervisor.start()
        except Failed as failure:
            log.error("%s", failure)

    async def answer(self, request: Message) -> AsyncIterator[Message]:
        """`status`; `start` and `stop` with a name; `down`. The last message has `done`, or `error`."""
        match request:
            case {"do": "status"}:
                yield {"done": [Status.of(process).as_json() for process in self._supervisor.processes.values()]}
            case {"do": "start" | "stop" as verb, "name": str(name)} if name in self._supervisor.processes:
                yield await self._act(verb, name)
            case {"do": "start" | "stop"}:
                yield {"error": f"there is no {request.get('name')!r}: the processes are {', '.join(PROCESSES)}"}
            case {"do": "down"}:
                self._end.set()
                async for message in self._watch_end():
                    yield message
            case _:
                yield {"error": f"not understood: {request}"}

    async def _act(self, verb: str, name: str) -> Message:
        process = self._supervisor.processes[name]
        if verb == "stop":
            return {"done": await process.stop()}
        try:
            await process.start(_START_ONE_WITHIN)
        except Failed as failure:
            return {"error": str(failure)}
        return {"done": f"ready on {', '.join(process.addresses)}"}

    async def _watch_end(self) -> AsyncIterator[Message]:
        """Names each process as it ends."""
        left = {n for n, process in self._supervisor.processes.items() if process.state is not State.STOPPED}
        while left or not self.ended.is_set():
            gone = {n for n in left if self._supervisor.processes[n].state is State.STOPPED}
            for name in sorted(gone):
                yield {"name": name, "said": self._supervisor.processes[name].why}
            left -= gone
            await asyncio.sleep(0.02)
        yield {"done": True}
