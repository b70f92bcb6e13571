"""HAProxy, the edge."""

import signal
from pathlib import Path

from local import admin, environment
from local.http_check import expect_200, get
from local.install_edge import ensure_haproxy
from local.site import Site
from local.spec import Spec


def spec(site: Site, name: str = "haproxy") -> Spec:
    """Starts at once, whatever the nodes do: it answers for those that are not there yet."""
    stats = f"http://127.0.0.1:{site.stats}"

    socket = site.place.sockets / "haproxy.sock"

    async def ready() -> str:
        await expect_200(f"127.0.0.1:{site.stats}", "/stats")
        await get(f"127.0.0.1:{site.front}", "/healthz")
        for node in site.drained:  # it has forgotten, if it was started again
            await admin.drain(socket, node)
        return f"streams go to the {await _door(socket)} door"

    return Spec(
        name=name,
        command=(str(ensure_haproxy(site.place.software)), "-W", "-db", "-f", "haproxy/haproxy.cfg"),
        cwd=str(site.project),
        environment={**environment.shared(site), **environment.of_edge(site)},
        offers={
            "EDGE_URL": site.address,
            "STATS_URL": stats,
            "ADMIN_SOCKET": str(socket),
        },
        addresses=(site.address, site.tls_address, stats),
        ready=ready,
        stop_within=5,
        # Its master would leave the worker behind if it were killed outright.
        death_signal=signal.SIGTERM,
    )


async def _door(socket: Path) -> str:
    """Which door of the nodes its configuration has chosen: `wire` or `plain`."""
    return (await admin.ask(socket, "show env STREAM_DOOR")).strip().removeprefix("STREAM_DOOR=")
