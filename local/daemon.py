"""The supervisor as a process of its own, detached from the shell that began it."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from local import control, environment, keys
from local.desk import Desk
from local.fleet import Fleet
from local.lock import hold, pid_file
from local.logs import trim, trim_all
from local.place import PROJECT
from local.plan import specs
from local.site import Site
from local.supervisor import Supervisor

log = logging.getLogger("local")

_LOOK_AT_DIRECTORY_EVERY = 2.0
_LOOK_AT_KEYS_EVERY = 10.0
_LOOK_AT_LOGS_EVERY = 30.0


def begin(site: Site) -> None:
    """Starts the supervisor in a session of its own and returns at once."""
    log_file = site.place.log("supervisor")
    if log_file.exists():
        with suppress(OSError):  # it is emptied: what matters is that the new one is begun
            trim(log_file)
    with log_file.open("ab") as out:
        subprocess.Popen(
            (sys.executable, "-m", "local", "supervise", *map(str, (site.front, site.stats, site.tls))),
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
    life = keys.token_life()
    lock = hold(site.place.directory)
    environment.write(site)
    supervisor = Supervisor(specs(site), site.place.logs, lambda name, text: log.info("%s: %s", name, text))
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    desk = Desk(supervisor, Fleet(site, supervisor), end)
    server = await control.serve(site.place.control, desk.answer)

    async def end_with_directory() -> None:
        if not pid_file(site.place.directory).exists():
            log.error("%s was deleted: ending", site.place.directory)
            end.set()

    async def drop_old_keys() -> None:
        for kid in keys.drop_old(site.place.keys, life):
            log.info("%s is dropped: its last token has expired", kid)

    async def trim_logs() -> None:
        await asyncio.to_thread(trim_all, site.place.logs, lambda name, text: log.error("%s: %s", name, text))

    background = [
        asyncio.create_task(watched(one, end))
        for one in (
            desk.start_all(),
            # Whoever deletes the directory of a running system wants no system; no command could find it any more either.
            every(_LOOK_AT_DIRECTORY_EVERY, end_with_directory),
            # A public key goes when the last token that was signed with it has expired.
            every(_LOOK_AT_KEYS_EVERY, drop_old_keys),
            every(_LOOK_AT_LOGS_EVERY, trim_logs),
        )
    ]
    await end.wait()
    for task in background:
        task.cancel()
    await supervisor.stop()
    desk.ended.set()
    log.info("everything has ended")
    await asyncio.sleep(0.05)  # the last answers are still being written
    server.close()
    site.place.control.unlink(missing_ok=True)
    pid_file(site.place.directory).unlink(missing_ok=True)
    lock.close()


async def watched(task: Coroutine[object, object, None], end: asyncio.Event) -> None:
    """A background task that fails ends everything: a dead one must not go unseen."""
    try:
        await task
    except Exception:
        log.critical("ending, because a task failed", exc_info=True)
        end.set()


async def every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Does it again and again. What the machine denies for now (a full disk, a file that is gone) is told, and tried again."""
    while True:
        try:
            await do()
        except OSError as error:
            log.error("%s failed, and is tried again in %.0f s: %s", getattr(do, "__name__", do), seconds, error)
        await asyncio.sleep(seconds)
