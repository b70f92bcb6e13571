"""HAProxy before a server: a bare configuration that is the same for all, one thread, no tokens; or the project's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.compare.peer import Peer, listening
from bench.compare.scenario import Position
from local.child import Child, end, spawn
from local.install_edge import ensure_haproxy
from local.place import PROJECT, Place
from local.ports import free_port
from local.spec import Spec, nothing_to_do

SECRET = "a secret of the bench"
_CONFIG = """
global
    nbthread 1
    tune.sndbuf.client 65536
    tune.h2.be.max-concurrent-streams 1000

defaults
    mode http
    option http-no-delay
    option abortonclose
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s

frontend edge
    bind 127.0.0.1:{port}
    http-request set-header X-Edge-Secret "{secret}"
    http-request set-header X-User-Id %[url_param(uid),add(0)]
    http-request set-header X-Session-Id 00000000-0000-4000-8000-%[url_param(uid)]
    http-request set-header X-Token-Exp %[date(7200)]
    default_backend stream

backend stream
    http-reuse always
    server one 127.0.0.1:{server}{h2}
"""


def haproxy() -> Path:
    """The same as `make up` uses."""
    return ensure_haproxy(Place.at().software)


@asynccontextmanager
async def edge(peer: Peer, position: Position) -> AsyncIterator[tuple[int, Child]]:
    """Its port and its process."""
    port, log, config = free_port(), peer.directory / "haproxy.log", peer.directory / "haproxy.cfg"
    environment = {}
    if position is Position.EDGE:
        config, environment = PROJECT / "haproxy" / "haproxy.cfg", {**peer.edge_environment(), **_private(port)}
    else:
        h2 = " proto h2 pool-max-conn -1" if peer.h2 else ""
        config.write_text(_CONFIG.format(port=port, server=peer.port, secret=SECRET, h2=h2))
    command = (str(haproxy()), "-db", "-f", str(config))
    spec = Spec("haproxy", command, nothing_to_do, environment=environment, cwd=str(PROJECT))
    child = await spawn(spec, log)
    try:
        await listening(child, port, log)
        yield port, child
    finally:
        await end(child, spec.stop_signal, 5)


def _private(port: int) -> dict[str, str]:
    """What makes the project's own HAProxy one of this run: its ports, one thread, and no limit for one address."""
    return {
        "EDGE_BIND": f"127.0.0.1:{port}",
        "STATS_BIND": f"127.0.0.1:{free_port()}",
        "EDGE_THREADS": "1",
        "EDGE_SECRET": SECRET,
        "LIMIT_CONNECTIONS": "1000000",
    }
