"""What a Python user would write with sse-starlette: a queue for each stream, found by author. Run by uvicorn."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Queues = set["asyncio.Queue[str]"]

readers: defaultdict[str, Queues] = defaultdict(set)


async def stream(request: Request) -> Response:
    authors = request.query_params["authors"].split(",")

    async def events() -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        for author in authors:
            readers[author].add(queue)
        try:
            while True:
                yield {"event": "post", "data": await queue.get()}
        finally:
            for author in authors:
                readers[author].discard(queue)

    return EventSourceResponse(events(), sep="\n", ping=15)


async def publish(request: Request) -> Response:
    """A batch: lines of an author, a blank, an event."""
    for line in (await request.body()).decode().splitlines():
        author, _, event = line.partition(" ")
        for queue in readers[author]:
            queue.put_nowait(event)
    return Response(status_code=204, headers={"Content-Length": "0"})


app = Starlette(routes=[Route("/sub", stream), Route("/pub", publish, methods=["POST"])])
