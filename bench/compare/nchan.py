"""Nchan: nginx with a module in C; one worker, for HAProxy and the client need the rest of two cores."""

from collections.abc import Sequence

from bench.compare.install import nchan
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.poster import Poster
from bench.compare.posts import Post

_CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr warn;
load_module {module};
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
    uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
    large_client_header_buffers 4 16k;
    keepalive_requests 1000000000;
    nchan_shared_memory_size 512m;
    nchan_message_timeout 10m;
    nchan_message_buffer_length 20000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /sub {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_authors;
            nchan_channel_id_split_delimiter ",";
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 15;
        }}
        location /pub {{
            nchan_publisher;
            nchan_channel_id $arg_author;
        }}
    }}
}}
"""


class Nchan(Peer):
    name = "Nchan"
    way = Way()

    async def start(self) -> None:
        nginx, module = nchan()
        config = self.directory / "nginx.conf"
        config.write_text(_CONFIG.format(directory=self.directory, module=module, port=self.port))
        await self.run(str(nginx), "-p", str(self.directory), "-c", str(config), port=self.port)
        self._poster = await Poster.to(self.port)

    def target(self, uid: int, authors: Sequence[int]) -> str:
        return f"/sub?uid={uid:012d}&authors={','.join(map(str, authors))}"

    async def publish(self, posts: Sequence[Post]) -> None:
        await self._poster.post((f"/pub?author={author}", value) for author, value in posts)
