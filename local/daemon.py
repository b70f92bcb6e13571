"""The supervisor as a process of its own, detached from the shell that began it."""

import asyncio
import logging
import os
import signal
import subprocess
import sys

from local import control, environment, keys
from local.desk import Desk
from local.fleet import Fleet
from local.lock import hold, pid_file
from local.place import PROJECT
from local.plan import specs
from local.site import Site
from local.supervisor import Supervisor, trim

log = logging.getLogger("local")

_LOOK_AT_DIRECTORY_EVERY = 2.0
_LOOK_AT_KEYS_EVERY = 10.0


def begin(site: Site) -> None:
    """Starts the supervisor in a session of its own and returns at once."""
    log_file = site.place.log("supervisor")
    if log_file.exists():
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
    starting = asyncio.create_task(desk.start_all())
    watching = asyncio.create_task(_end_with_directory(site, end))
    dropping = asyncio.create_task(_drop_old_keys(site, life))
    await end.wait()
    starting.cancel()
    watching.cancel()
    dropping.cancel()
    await supervisor.stop()
    desk.ended.set()
    log.info("everything has ended")
    await asyncio.sleep(0.05)  # the last answers are still being written
    server.close()
    site.place.control.unlink(missing_ok=True)
    pid_file(site.place.directory).unlink(missing_ok=True)
    lock.close()


async def _end_with_directory(site: Site, end: asyncio.Event) -> None:
    """Whoever deletes the directory of a running system wants no system; no command could find it any more either."""
    while pid_file(site.place.directory).exists():  # noqa: ASYNC110  (a file: nothing to await)
        await asyncio.sleep(_LOOK_AT_DIRECTORY_EVERY)
    log.error("%s was deleted: ending", site.place.directory)
    end.set()


async def _drop_old_keys(site: Site, life: int) -> None:
    """A public key goes when the last token that was signed with it has expired."""
    while True:
        try:
            for kid in keys.drop_old(site.place.keys, life):
                log.info("%s is dropped: its last token has expired", kid)
        except OSError as error:
            log.error("old keys cannot be dropped, which is tried again: %s", error)
        await asyncio.sleep(_LOOK_AT_KEYS_EVERY)
