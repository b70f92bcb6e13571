"""`up`: install what is missing, start everything, wait, and go all the way round once."""

import asyncio
import os
import time

from local import environment, limits
from local.child import tail_of
from local.commands import statuses_of
from local.control import NotRunning
from local.daemon import begin
from local.install_page import ensure_page
from local.keys import token_life
from local.lock import holder
from local.place import Place
from local.plan import port_names, specs
from local.ports import check_front, chosen_front
from local.probe import ProbeFailed, go_round
from local.site import Site, renew_ports
from local.status import table

_FRONTS = {"EDGE_PORT": 8080, "STATS_PORT": 8404, "EDGE_TLS_PORT": 8443}
_SUPERVISOR_WITHIN = 15.0
_READY_WITHIN = 120.0


async def up(place: Place) -> int:
    """Installs, starts, waits, probes. A second time it only says that it runs."""
    raised = limits.chosen()
    if holder(place.directory) is not None:
        print("already running:")
        print(table(await statuses_of(place)))
        if environment.lacks(place, raised):
            print(f"LIMITS={os.environ['LIMITS']} changes nothing of what runs: `python -m local down` first")
            return 1
        return 0
    began = time.monotonic()
    fronts = (chosen_front(name, usual) for name, usual in _FRONTS.items())
    token_life()  # what is wrong in the environment is told before anything starts
    site = Site.at(place, *fronts)
    for port, variable in zip((site.front, site.stats, site.tls), _FRONTS, strict=True):
        check_front(port, variable)
    for name in renew_ports(site, port_names()):
        print(f"  {name:<14} somebody has taken its port; it moves to {site.ports[name]}")
    await asyncio.to_thread(specs, site)  # installs what is missing
    await asyncio.to_thread(ensure_page, place.software, site.project / "frontend")
    begin(site)
    if not await _show_start(site):
        return 1
    try:
        took = await go_round(site.address, site.secrets["probe-password"], place.data / "probe-name")
    except ProbeFailed as failure:
        print(f"everything is ready, and yet the probe {failure}\n`python -m local logs` shows more")
        return 1
    print(f"  {'probe':<14} a post came all the way round in {took * 1000:.0f} ms")
    print(f"{site.address}   {site.tls_address}   (statistics: http://localhost:{site.stats}/stats)")
    print(f"up in {time.monotonic() - began:.1f} s")
    return 0


async def _show_start(site: Site) -> bool:
    """Prints each process as it gets ready, until all are. False, with the reason printed, if one is not."""
    shown: set[str] = set()
    began = time.monotonic()
    while time.monotonic() - began < _READY_WITHIN:
        await asyncio.sleep(0.05)
        try:
            statuses = await statuses_of(site.place)
        except NotRunning:
            if time.monotonic() - began > _SUPERVISOR_WITHIN or (shown and holder(site.place.directory) is None):
                print(f"the supervisor does not run:\n{tail_of(site.place.log('supervisor'))}")
                return False
            continue
        for one in statuses:
            if one.state == "ready" and one.name not in shown:
                shown.add(one.name)
                where = ", ".join(one.addresses)
                print(
                    f"  {one.name:<14} ready on {where:<50} {one.ready_after:5.1f} s   {one.note}".rstrip(), flush=True
                )
        if len(shown) == len(statuses):
            return True
        if any(one.state == "failed" for one in statuses):
            break
    for one in await statuses_of(site.place):
        if one.state != "ready":
            print(f"  {one.name:<14} {one.state}: {one.why}\n{tail_of(site.place.log(one.name))}")
    print("the rest goes on running: `python -m local status`, `logs`, `down`")
    return False
