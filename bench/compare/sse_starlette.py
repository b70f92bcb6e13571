"""sse-starlette on uvicorn: one process, as our node is one."""

from collections.abc import Sequence
from pathlib import Path

from bench.compare.install import starlette
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.poster import Poster
from bench.compare.posts import Post


class SseStarlette(Peer):
    name = "sse-starlette"
    way = Way(cursors=False)

    async def start(self) -> None:
        python = starlette()
        where = (
            "--app-dir",
            str(Path(__file__).parent / "starlette_app"),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        )
        how = (
            "--backlog",
            "4096",
            "--no-access-log",
            "--loop",
            "uvloop",
            "--http",
            "httptools",
            "--timeout-graceful-shutdown",
            "1",
        )
        await self.run(str(python), "-m", "uvicorn", "queues:app", *where, *how, port=self.port)
        self._poster = await Poster.to(self.port)

    def target(self, uid: int, authors: Sequence[int]) -> str:
        return f"/sub?uid={uid:012d}&authors={','.join(map(str, authors))}"

    async def publish(self, posts: Sequence[Post]) -> None:
        lines = b"\n".join(f"{author} ".encode() + value for author, value in posts)
        await self._poster.post([("/pub", lines)])
