"""The plain door of a node in this process, behind the server that it has in life."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from store.tokens import Verifier
from stream.app import create_app
from tests.integration.edge_system import free_port
from tests.integration.wire_support import Running


@asynccontextmanager
async def plain(node: Running) -> AsyncIterator[int]:
    """Its port, when it answers."""
    config, stop, port = Config(), asyncio.Event(), free_port()
    config.bind, config.graceful_timeout = [f"127.0.0.1:{port}"], 1
    app = create_app(node.node, node.door._meters, cast("Verifier", None))
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.01)
        yield port
    finally:
        for stream in list(node.hub):
            stream.abort()
        stop.set()
        await serving
