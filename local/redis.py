"""Redis."""

from redis.asyncio import Redis

from local.install_debian import ensure_command
from local.site import Site
from local.spec import Spec


def spec(site: Site, name: str = "redis") -> Spec:
    """What it holds can be rebuilt, so it may lose the last second.

    Short of memory it may drop lists, and nothing else: without the few keys that never expire others would mean something else.
    """
    server = ensure_command(("redis-server", "valkey-server"), "redis-server")
    url = f"redis://{site.at_port(name)}/0"

    async def ready() -> None:
        async with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            await client.set("local:ready", "1", ex=60)  # refused while it still loads its data

    directory = site.data(name)
    return Spec(
        name=name,
        command=(
            str(server),
            *("--port", str(site.ports[name])),
            *("--bind", "127.0.0.1"),
            *("--dir", str(directory)),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            *("--save", ""),
            *("--maxmemory", "256mb"),
            *("--maxmemory-policy", "volatile-lru"),
            *("--daemonize", "no"),
        ),
        offers={"REDIS_URL": url},
        addresses=(site.at_port(name),),
        ready=ready,
    )
