"""The commands a person types, except for the reading of logs. Each returns an exit code."""

import asyncio
import json
import os
import shutil
import signal
import time
from typing import Any

from local import control, daemon
from local.child import tail_of
from local.control import Message, NotRunning
from local.install_page import ensure_page
from local.place import Place
from local.plan import port_names, specs
from local.ports import check_front
from local.probe import ProbeFailed, go_round
from local.site import Site, renew_ports
from local.status import Status, table

_FRONT, _STATS = 8080, 8404
_SUPERVISOR_WITHIN = 15.0
_READY_WITHIN = 120.0
_END_WITHIN = 90.0


async def up(place: Place) -> int:
    """Installs, starts, waits, probes. A second time it only says that it runs."""
    if daemon.holder(place.directory) is not None:
        print("already running:")
        await status(place, as_json=False)
        return 0
    began = time.monotonic()
    site = Site.at(place, *_front_ports())
    for port, variable in ((site.front, "EDGE_PORT"), (site.stats, "STATS_PORT")):
        check_front(port, variable)
    for name in renew_ports(site, port_names()):
        print(f"  {name:<14} somebody has taken its port; it moves to {site.ports[name]}")
    await asyncio.to_thread(specs, site)  # installs what is missing
    await asyncio.to_thread(ensure_page, place.software, site.project / "frontend")
    daemon.begin(site)
    if not await _show_start(site):
        return 1
    try:
        took = await go_round(site.address)
    except ProbeFailed as failure:
        print(f"everything is ready, and yet the probe {failure}\n`python -m local logs` shows more")
        return 1
    print(f"  {'probe':<14} a post came all the way round in {took * 1000:.0f} ms")
    print(
        f"{site.address}   (statistics: http://localhost:{site.stats}/stats)   up in {time.monotonic() - began:.1f} s"
    )
    return 0


def _front_ports() -> tuple[int | None, int | None]:
    """8080 and 8404, or what the environment says; None (a private one) for 0."""
    return tuple(
        int(os.environ.get(name) or usual) or None for name, usual in (("EDGE_PORT", _FRONT), ("STATS_PORT", _STATS))
    )  # type: ignore[return-value]


async def _show_start(site: Site) -> bool:
    """Prints each process as it gets ready, until all are. False, with the reason printed, if one is not."""
    shown: set[str] = set()
    began = time.monotonic()
    while time.monotonic() - began < _READY_WITHIN:
        await asyncio.sleep(0.05)
        try:
            statuses = await _statuses(site.place)
        except NotRunning:
            if time.monotonic() - began > _SUPERVISOR_WITHIN or (shown and daemon.holder(site.place.directory) is None):
                print(f"the supervisor does not run:\n{tail_of(site.place.log('supervisor'))}")
                return False
            continue
        for one in statuses:
            if one.state == "ready" and one.name not in shown:
                shown.add(one.name)
                print(f"  {one.name:<14} ready on {', '.join(one.addresses):<50} {one.ready_after:5.1f} s", flush=True)
        if len(shown) == len(statuses):
            return True
        if any(one.state == "failed" for one in statuses):
            break
    for one in await _statuses(site.place):
        if one.state != "ready":
            print(f"  {one.name:<14} {one.state}: {one.why}\n{tail_of(site.place.log(one.name))}")
    print("the rest goes on running: `python -m local status`, `logs`, `down`")
    return False


async def status(place: Place, *, as_json: bool) -> int:
    """Prints it; exit code 0 if everything is ready, 3 if something is not, as `systemctl status` does."""
    try:
        statuses = await _statuses(place)
    except NotRunning:
        print("[]" if as_json else "nothing is running")
        return 3
    print(json.dumps([one.as_json() for one in statuses], indent=1) if as_json else table(statuses))
    return 0 if all(one.state == "ready" for one in statuses) else 3


async def act(place: Place, verb: str, name: str) -> int:
    """Starts or stops one process of the running system."""
    try:
        answer = await _last(control.ask(_socket(place), {"do": verb, "name": name}, _END_WITHIN))
    except NotRunning:
        answer = {"error": "nothing is running: `python -m local up` first"}
    print(f"  {name:<14} {answer.get('done') or answer.get('error')}")
    return 1 if "error" in answer else 0


async def down(place: Place) -> int:
    """Ends everything, the edge first, the servers last. Bounded: after 90 s the supervisor is killed, and all with it."""
    pid = daemon.holder(place.directory)
    if pid is None:
        print("nothing is running")
        return 0
    began = time.monotonic()
    try:
        async with asyncio.timeout(_END_WITHIN):
            async for message in control.ask(_socket(place), {"do": "down"}, _END_WITHIN):
                if "name" in message:
                    print(f"  {message['name']:<14} {message['said']}", flush=True)
            while daemon.holder(place.directory) is not None:  # noqa: ASYNC110  (another process: nothing to await)
                await asyncio.sleep(0.02)
    except (NotRunning, TimeoutError):
        if daemon.holder(place.directory) == pid:
            os.kill(pid, signal.SIGKILL)
            print(f"  supervisor     did not answer and was killed (pid {pid}); its processes end with it")
    print(f"down in {time.monotonic() - began:.1f} s")
    return 0


async def reset(place: Place) -> int:
    """`down`, and everything but the software is deleted."""
    await down(place)
    for path in (place.data, place.logs, place.secrets, place.keys, place.sockets):
        shutil.rmtree(path, ignore_errors=True)
    for path in (place.environment, place.directory / "ports.json"):
        path.unlink(missing_ok=True)
    print(f"deleted the data in {place.directory}; the software in {place.software} is kept")
    return 0


def _socket(place: Place) -> Any:
    return place.sockets / "control.sock"


async def _statuses(place: Place) -> list[Status]:
    answer = await _last(control.ask(_socket(place), {"do": "status"}, 5))
    done = answer["done"]
    return [Status(**one) for one in done] if isinstance(done, list) else []


async def _last(messages: Any) -> Message:
    last: Message = {"error": "the supervisor ended without an answer"}
    async for message in messages:
        last = message
    return last
