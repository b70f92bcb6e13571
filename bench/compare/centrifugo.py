"""Centrifugo, version 6, by its unidirectional SSE; a channel for each author."""

import json
from collections.abc import Sequence
from urllib.parse import quote

from bench.compare.install import centrifugo
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.poster import Poster
from bench.compare.posts import Post

_HISTORY = {"history_size": 20_000, "history_ttl": "600s", "allow_subscribe_for_client": True}


class Centrifugo(Peer):
    """Its SSE knows no Last-Event-ID: a client that comes back names a place in each channel itself, which ours does not."""

    name = "Centrifugo"
    way = Way(live='"connect"', cursors=False)

    async def start(self) -> None:
        config = {
            "http_server": {"address": "127.0.0.1", "port": str(self.port)},
            "log": {"level": "error"},
            "client": {"insecure": True, "channel_limit": 300, "allowed_origins": ["*"], "queue_max_size": 2**24},
            "channel": {"without_namespace": _HISTORY},
            "http_api": {"insecure": True},
            "uni_sse": {"enabled": True},
        }
        file = self.directory / "centrifugo.json"
        file.write_text(json.dumps(config))
        await self.run(str(centrifugo()), "--config", str(file), port=self.port)
        self._poster = await Poster.to(self.port)

    def target(self, uid: int, authors: Sequence[int]) -> str:
        asked = json.dumps({"subs": {str(author): {} for author in authors}}, separators=(",", ":"))
        return f"/connection/uni_sse?uid={uid:012d}&cf_connect={quote(asked)}"

    async def publish(self, posts: Sequence[Post]) -> None:
        commands = b",".join(b'{"publish":{"channel":"%d","data":%s}}' % post for post in posts)
        await self._poster.post([("/api/batch", b'{"commands":[' + commands + b"]}")], "Content-Type: application/json")
