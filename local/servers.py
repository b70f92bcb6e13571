"""One real server for one test file, without the daemon.

async with servers.running("redis", directory) as redis:
    redis.env["REDIS_URL"], redis.pid, redis.addresses
    await redis.kill()      # SIGKILL; it stays dead until
    await redis.start()     # which returns when it is ready, with its data
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.place import Place
from local.plan import port_names, specs
from local.process import Process
from local.site import Site, renew_ports

# Short names for where there is one of a kind.
_KINDS = {"kafka": "kafka-1", "mysql": "mysql-primary", "storekeeper": "storekeeper-1"}


async def start(kind: str, directory: Path | str) -> Process:
    """Starts one process, on private ports, with its data in `directory`, and returns when it is ready. Raises Failed.

    `kind` is `kafka`, `mongo`, `redis`, `mysql` (the primary), `mysql-replica` (same directory as its primary, which must
    run), or any name of `status`. Missing software is installed. The caller stops it; should it not, it dies with the caller.
    """
    name = _KINDS.get(kind, kind)
    site = Site.at(Place.at(directory))
    renew_ports(site, port_names([name]))
    spec = next(spec for spec in await asyncio.to_thread(specs, site, [name]) if spec.name == name)
    process = Process(spec, site.place.log(name), lambda *_: None, respawn=False)
    try:
        await process.start()
    except BaseException:
        await process.stop()
        raise
    return process


@asynccontextmanager
async def running(kind: str, directory: Path | str) -> AsyncIterator[Process]:
    """The same as `start`, and stopped at the end of the block."""
    process = await start(kind, directory)
    try:
        yield process
    finally:
        await process.stop()
