"""Pushpin: a proxy that holds streams; an origin, here in the bench's own process, tells it the channels of each."""

import asyncio
import json
from collections.abc import Sequence

from bench.compare.install import libraries, pushpin
from bench.compare.load import Way
from bench.compare.peer import Peer, listening
from bench.compare.poster import Poster
from bench.compare.posts import Post
from local.ports import free_port

# Its limits are raised until none of them is met: the defaults send 2,500 messages a second.
_CONFIG = """
[global]
include={directory}/internal.conf
rundir={directory}
libdir={root}/usr/lib/pushpin
ipc_prefix=p-
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port={port}
logdir={directory}
log_level=1
client_buffer_size=8192
client_maxconn=15000
condure_bin={root}/usr/bin/condure
zurl_bin={root}/usr/bin/zurl
[proxy]
routesfile=routes
updates_check=off
[handler]
push_in_spec=ipc://{directory}/push-in
push_in_sub_specs=ipc://{directory}/push-in-sub
push_in_http_addr=127.0.0.1
push_in_http_port={control}
push_in_http_max_headers_size=10000
push_in_http_max_body_size=10000000
command_spec=ipc://{directory}/command
message_rate=100000000
message_hwm=100000000
message_wait=5000
connection_subscription_max=300
"""
_ANSWER = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nGrip-Hold: stream\r\n{channels}"
    "Grip-Keep-Alive: : alive\\n\\n; format=cstring; timeout=15\r\nContent-Length: 5\r\n\r\n:hi\n\n"
)


class Pushpin(Peer):
    name = "Pushpin"
    way = Way(live=":hi", cursors=False)
    at_once = 50  # it loses some of those that come together, and they have to ask again

    async def start(self) -> None:
        root, control, origin = pushpin(), free_port(), free_port()
        place = {"directory": self.directory, "root": root, "port": self.port, "control": control}
        (self.directory / "pushpin.conf").write_text(_CONFIG.format(**place))
        (self.directory / "routes").write_text(f"* 127.0.0.1:{origin}\n")
        theirs = (root / "usr/lib/pushpin/internal.conf").read_text()
        (self.directory / "internal.conf").write_text(
            theirs.replace("/var/run/zurl/zurl-", "{rundir}/{ipc_prefix}zurl-")
        )
        server = await asyncio.start_server(_origin, "127.0.0.1", origin, backlog=4096)
        self.stack.callback(server.close)
        config = f"--config={self.directory / 'pushpin.conf'}"
        child = await self.run(str(root / "usr/bin/pushpin"), config, env=libraries(root), port=self.port)
        await listening(child, control, self.directory / "pushpin-0.log")
        self._control = control

    def target(self, uid: int, authors: Sequence[int]) -> str:
        return f"/sub?uid={uid:012d}&authors={','.join(map(str, authors))}"

    async def publish(self, posts: Sequence[Post]) -> None:
        items = [
            {
                "channel": str(author),
                "formats": {"http-stream": {"content": f"event: post\ndata: {value.decode()}\n\n"}},
            }
            for author, value in posts
        ]
        poster = await Poster.to(self._control)  # it closes after each answer
        await poster.post([("/publish/", json.dumps({"items": items}).encode())])
        poster.close()


async def _origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with the channels that its query names."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        authors = head.split(b" ", 2)[1].rpartition(b"authors=")[2].decode().split(",")
        channels = f"Grip-Channel: {', '.join(authors)}\r\n"
        writer.write(_ANSWER.format(channels=channels).encode())
