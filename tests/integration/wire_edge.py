"""HAProxy 3.2 before the wire door, with just as much configuration as the wire needs; identities come from the query."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.install_edge import ensure_haproxy
from tests.integration.edge_system import PROJECT, free_port, version_of
from tests.integration.wire_support import SECRET

CONFIG = """
global
    log stdout format raw local0 info
    tune.h2.be.max-concurrent-streams 1000
    tune.sndbuf.client 65536
    nbthread 1
    stats socket {socket} mode 600 level admin

defaults
    mode http
    log global
    option http-no-delay
    option abortonclose
    timeout connect 2s
    timeout client 5s
    timeout server 60s
    timeout tunnel 60s

frontend edge
    bind 127.0.0.1:{port}
    http-request set-header X-Edge-Secret "{secret}"
    http-request set-header X-User-Id %[url_param(uid)]
    http-request set-header X-Session-Id 00000000-0000-4000-8000-000000000000
    http-request set-header X-Token-Exp %[date(3600)]
    default_backend stream

backend stream
    option httpchk
    http-check send meth GET uri /readyz hdr Host edge
    http-check expect status 200
    http-reuse always
    server wire 127.0.0.1:{wire} proto h2 pool-max-conn -1 check inter 500ms
"""


def haproxy() -> Path | None:
    """A binary that can multiplex to a backend, or None."""
    binary = ensure_haproxy(PROJECT / ".local" / "software")
    return binary if tuple(map(int, version_of(str(binary)).split("."))) >= (3, 1) else None


@asynccontextmanager
async def edge(wire: int, directory: Path) -> AsyncIterator[int]:
    """Its port, when it answers."""
    binary, port = haproxy(), free_port()
    assert binary is not None
    config = directory / "wire.cfg"
    config.write_text(CONFIG.format(port=port, wire=wire, secret=SECRET, socket=directory / "admin.sock"))
    with (directory / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(str(binary), "-db", "-f", str(config), stdout=log, stderr=log)
        try:
            async with asyncio.timeout(10):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        break
                    except OSError:
                        await asyncio.sleep(0.02)
            yield port
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await process.wait()
