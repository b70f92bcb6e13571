"""HAProxy, the edge."""

import signal

import httpx

from local import environment
from local.install_edge import ensure_haproxy
from local.site import Site
from local.spec import Spec


def spec(site: Site, name: str = "haproxy") -> Spec:
    """Starts at once, whatever the nodes do: it answers for those that are not there yet."""
    stats = f"http://127.0.0.1:{site.stats}"

    async def ready() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            (await client.get(f"{stats}/stats")).raise_for_status()
            await client.get(f"http://127.0.0.1:{site.front}/healthz")

    return Spec(
        name=name,
        command=(str(ensure_haproxy(site.place.software)), "-W", "-db", "-f", "haproxy/haproxy.cfg"),
        cwd=str(site.project),
        environment={**environment.shared(site), **environment.of_edge(site)},
        offers={
            "EDGE_URL": site.address,
            "STATS_URL": stats,
            "ADMIN_SOCKET": environment.of_edge(site)["ADMIN_SOCKET"],
        },
        addresses=(site.address, stats),
        ready=ready,
        stop_within=5,
        # Its master would leave the worker behind if it were killed outright.
        death_signal=signal.SIGTERM,
    )
