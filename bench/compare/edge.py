"""HAProxy before each server: the same bare configuration for all, one thread, no tokens, no Lua."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.compare.peer import listening
from local.child import Child, end, spawn
from local.install_edge import ensure_haproxy
from local.place import Place
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
async def edge(server: int, directory: Path, *, h2: bool) -> AsyncIterator[tuple[int, Child]]:
    """Its port and its process."""
    port, log = free_port(), directory / "haproxy.log"
    config = directory / "haproxy.cfg"
    config.write_text(
        _CONFIG.format(port=port, server=server, secret=SECRET, h2=" proto h2 pool-max-conn -1" if h2 else "")
    )
    spec = Spec("haproxy", (str(haproxy()), "-db", "-f", str(config)), nothing_to_do)
    child = await spawn(spec, log)
    try:
        await listening(child, port, log)
        yield port, child
    finally:
        await end(child, spec.stop_signal, 5)
