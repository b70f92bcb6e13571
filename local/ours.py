"""Our own processes: two api, two stream nodes, one storekeeper."""

import sys
from dataclasses import replace

from local import environment, setting
from local.http_check import expect_200
from local.site import Site
from local.spec import Spec

_SERVERS = ("kafka-1", "mongo", "redis")
# Seconds that a clean end may take beside a node's DRAIN.
_STOP_WITHIN = 12
_DRAIN = 8
DRAINED = "drained: it gets no new users until `fill`"


def api(site: Site, name: str) -> Spec:
    return _spec(
        site, name, "api", {"API_BIND": site.at_port(name)}, after=("mysql-primary", "mysql-replica", *_SERVERS)
    )


def stream(site: Site, name: str) -> Spec:
    settings = {
        "STREAM_BIND": site.at_port(name),
        "STREAM_WIRE_BIND": site.at_port(f"{name}-wire"),
        "NODE_NAME": name,
    }
    spec = _spec(site, name, "stream", settings, after=_SERVERS)

    async def ready() -> str:
        await spec.ready()
        return DRAINED if name in site.drained else ""

    # Its streams end evenly over DRAIN seconds, and then it does.
    return replace(spec, ready=ready, stop_within=setting.seconds("DRAIN", _DRAIN) + _STOP_WITHIN)


def storekeeper(site: Site, name: str) -> Spec:
    return _spec(site, name, "store", {"STOREKEEPER_BIND": site.at_port(name)}, after=_SERVERS)


def _spec(site: Site, name: str, package: str, settings: dict[str, str], after: tuple[str, ...]) -> Spec:
    address = f"http://{site.at_port(name)}"

    async def ready() -> None:
        await expect_200(site.at_port(name), "/readyz")

    return Spec(
        name=name,
        command=(sys.executable, "-m", package),
        cwd=str(site.project),
        environment={**environment.shared(site), **settings, "PYTHONUNBUFFERED": "1"},
        offers={**environment.shared(site), **settings},
        addresses=(address,),
        ready=ready,
        after=after,
        stop_within=_STOP_WITHIN,
    )
