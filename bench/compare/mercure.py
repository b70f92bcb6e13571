"""Mercure: a topic for each author, history in a file of its own kind (Bolt), so that who comes back gets what was missed."""

from collections.abc import Sequence
from urllib.parse import quote_from_bytes

import jwt

from bench.compare.install import mercure
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.poster import Poster
from bench.compare.posts import Post

_KEY = "a key of the bench, that opens nothing else"
_CONFIG = """
{{
    auto_https off
    admin off
}}
http://127.0.0.1:{port} {{
    route {{
        mercure {{
            anonymous
            publisher_jwt "{key}"
            subscriber_jwt "{key}"
            transport bolt {{
                path {directory}/mercure.db
                size 20000
            }}
        }}
    }}
}}
"""


class Mercure(Peer):
    name = "Mercure"
    way = Way()

    async def start(self) -> None:
        file = self.directory / "Caddyfile"
        file.write_text(_CONFIG.format(port=self.port, key=_KEY, directory=self.directory))
        await self.run(str(mercure()), "run", "--config", str(file), "--adapter", "caddyfile", port=self.port)
        self._poster = await Poster.to(self.port)
        self._token = jwt.encode({"mercure": {"publish": ["*"]}}, _KEY, "HS256")

    def target(self, uid: int, authors: Sequence[int]) -> str:
        return f"/.well-known/mercure?uid={uid:012d}&" + "&".join(f"topic={author}" for author in authors)

    async def publish(self, posts: Sequence[Post]) -> None:
        await self._poster.post(
            (
                ("/.well-known/mercure", f"topic={author}&data={quote_from_bytes(value)}".encode())
                for author, value in posts
            ),
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/x-www-form-urlencoded",
        )
