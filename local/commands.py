"""The commands for a system that runs already. Each returns an exit code."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from local import control, keys
from local.control import Message, NotRunning
from local.lock import holder
from local.place import Place
from local.status import Status, table

_ANSWER_WITHIN = 5.0
_END_WITHIN = 90.0
# The most that DRAIN may be, twice, for one change may wait for another, and what a node takes besides.
_CHANGE_WITHIN = 1500.0


async def status(place: Place, *, as_json: bool) -> int:
    """Prints it; exit code 0 if everything is ready, 3 if something is not, as `systemctl status` does."""
    try:
        statuses = await statuses_of(place)
    except NotRunning:
        print("[]" if as_json else "nothing is running")
        return 3
    print(json.dumps([one.as_json() for one in statuses], indent=1) if as_json else table(statuses))
    return 0 if all(one.state == "ready" for one in statuses) else 3


async def act(place: Place, verb: str, name: str) -> int:
    """Does that with one process of the running system."""
    try:
        answer = await _last(control.ask(place.control, {"do": verb, "name": name}, _CHANGE_WITHIN))
    except NotRunning:
        answer = {"error": "nothing is running: `python -m local up` first"}
    print(f"  {name:<14} {answer.get('done') or answer.get('error')}")
    return 1 if "error" in answer else 0


async def scale(place: Place, count: int) -> int:
    """So many stream nodes, told one by one."""
    last: Message = {"error": "nothing is running: `python -m local up` first"}
    with suppress(NotRunning):
        async for last in control.ask(place.control, {"do": "scale", "count": count}, _CHANGE_WITHIN):
            if "name" in last:
                print(f"  {last['name']:<14} {last['said']}", flush=True)
    print(f"  {last.get('done') or last.get('error')}")
    return 1 if "error" in last else 0


async def down(place: Place) -> int:
    """Ends everything, the edge first, the servers last. Bounded: after 90 s the supervisor is killed, and all with it."""
    pid = holder(place.directory)
    if pid is None:
        print("nothing is running")
        return 0
    began = time.monotonic()
    try:
        async with asyncio.timeout(_END_WITHIN):
            async for message in control.ask(place.control, {"do": "down"}, _END_WITHIN):
                if "name" in message:
                    print(f"  {message['name']:<14} {message['said']}", flush=True)
            while holder(place.directory) is not None:  # noqa: ASYNC110  (another process: nothing to await)
                await asyncio.sleep(0.02)
    except (NotRunning, TimeoutError):
        if holder(place.directory) == pid:
            os.kill(pid, signal.SIGKILL)
            print(f"  supervisor     did not answer and was killed (pid {pid}); its processes end with it")
    print(f"down in {time.monotonic() - began:.1f} s")
    return 0


async def reset(place: Place) -> int:
    """`down`, and everything but the software is deleted."""
    await down(place)
    for path in (place.data, place.logs, place.secrets, place.keys, place.sockets):
        shutil.rmtree(path, ignore_errors=True)
    for path in (place.environment, place.directory / "ports.json", place.directory / "nodes.json"):
        path.unlink(missing_ok=True)
    print(f"deleted the data in {place.directory}; the software in {place.software} is kept")
    return 0


def rotate_key(place: Place) -> int:
    """A new key for tokens. Whatever runs takes it by itself: no reload, and no stream is cut."""
    place.prepare()
    life = keys.token_life()
    try:
        new = keys.rotate(place.keys)
    except (keys.DoesNotSign, ValueError) as failure:
        print(f"  {failure}")
        return 1
    print(f"  {new.stem}  signs from now on: the API looks every second, the edge at the first token that names it")
    for old in sorted((place.keys / "public").glob("*.pem")):
        if old.name != new.name:
            print(f"  {old.stem}  counts until its last token has expired, {life} s from now, and is then dropped")
    return 0


async def statuses_of(place: Place) -> list[Status]:
    """What the supervisor says of each process. Raises NotRunning."""
    answer = await _last(control.ask(place.control, {"do": "status"}, _ANSWER_WITHIN))
    done = answer["done"]
    return [Status(**one) for one in done] if isinstance(done, list) else []


async def _last(messages: AsyncIterator[Message]) -> Message:
    last: Message = {"error": "the supervisor ended without an answer"}
    async for message in messages:
        last = message
    return last
