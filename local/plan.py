"""Which processes make up a system."""

from collections.abc import Callable, Iterable

from local import edge, kafka, mongo, mysql, ours, redis
from local.place import STREAM_PLACES
from local.site import Site
from local.spec import Spec

PROCESSES: dict[str, Callable[[Site, str], Spec]] = {
    "kafka-1": kafka.spec,
    "mongo": mongo.spec,
    "mysql-primary": mysql.primary,
    "mysql-replica": mysql.replica,
    "redis": redis.spec,
    "haproxy": edge.spec,
    "api-1": ours.api,
    "api-2": ours.api,
    **dict.fromkeys(STREAM_PLACES, ours.stream),
    "storekeeper-1": ours.storekeeper,
}


class UnknownName(ValueError):
    """There is no process of that name; the text lists those there are."""


def specs(site: Site, only: Iterable[str] | None = None) -> list[Spec]:
    """The processes named, and what they need, installed if missing; all without `only`. Raises InstallError, UnknownName."""
    wanted = everything(site) if only is None else list(only)
    chosen: dict[str, Spec] = {}
    while wanted:
        name = wanted.pop()
        if name not in PROCESSES:
            raise UnknownName(f"there is no {name!r}: the processes are {', '.join(PROCESSES)}")
        if name not in chosen:
            chosen[name] = PROCESSES[name](site, name)
            wanted += chosen[name].after
    return [chosen[name] for name in PROCESSES if name in chosen]


def everything(site: Site) -> list[str]:
    """The names of all processes that this system has now."""
    return [name for name in PROCESSES if name not in STREAM_PLACES or name in site.stream_nodes]


def port_names(only: Iterable[str] | None = None) -> list[str]:
    """The names under which the private ports of these processes are kept."""
    names = list(PROCESSES if only is None else only)
    wires = [f"{name}-wire" for name in names if name in STREAM_PLACES]
    return [*names, *wires, *(["kafka-1-controller"] if "kafka-1" in names else [])]
