"""The environment of our own processes: where the servers are, and what is secret."""

import shlex
from collections.abc import Mapping

from local import limits, mysql
from local.keys import write_private
from local.place import Place
from local.site import API_NODES, Site


def shared(site: Site) -> dict[str, str]:
    """What every process of ours, and a test or a person at a shell, needs to find the rest."""
    return {
        "KAFKA_SERVERS": site.at_port("kafka-1"),
        "MONGO_URL": f"mongodb://{site.at_port('mongo')}/?directConnection=true",
        "REDIS_URL": f"redis://{site.at_port('redis')}/0",
        "MYSQL_PRIMARY": mysql.dsn(site, "mysql-primary"),
        "MYSQL_REPLICA": mysql.dsn(site, "mysql-replica"),
        "TOKEN_ISSUER": "stickyfeed",
        "TOKEN_AUDIENCE": "stickyfeed",
        "TOKEN_KEYS": str(site.place.keys / "public"),
        "TOKEN_SIGNING_KEY": str(site.place.keys / "private"),
        "EDGE_SECRET": site.secrets["edge-secret"],
        "FRONTEND_DIR": str(site.project / "frontend" / "dist"),
        "COOKIE_SECURE": "false",
    }


def of_edge(site: Site) -> dict[str, str]:
    """What HAProxy's configuration reads besides."""
    return {
        "EDGE_BIND": site.binds(site.front),
        "EDGE_TLS_BIND": site.binds(site.tls),
        "EDGE_TLS_CERT": str(site.place.certificate),
        # A browser that took it would go to TLS on every port of localhost, also those of others.
        "HSTS_SECONDS": "0",
        **limits.chosen(),
        "STATS_BIND": f"127.0.0.1:{site.stats}",
        "ADMIN_SOCKET": str(site.place.sockets / "haproxy.sock"),
        **{name.upper().replace("-", "_"): site.at_port(name) for name in API_NODES},
        **of_stream_nodes(site),
    }


def of_stream_nodes(site: Site) -> dict[str, str]:
    """Where the stream nodes are, both doors."""
    nodes = {name.upper().replace("-", "_"): site.at_port(name) for name in site.stream_nodes}
    wires = {
        name.upper().replace("STREAM-", "STREAM_WIRE_"): site.at_port(f"{name}-wire") for name in site.stream_nodes
    }
    return nodes | wires


def write(site: Site) -> None:
    """Leaves it all in `<directory>/env`, so that `set -a; . .local/env` lets a person run one process by hand."""
    lines = _lines({**shared(site), **of_edge(site)})
    write_private(site.place.environment, "\n".join(["# written at every start", *lines, ""]))


def lacks(place: Place, settings: Mapping[str, str]) -> bool:
    """Whether what was written there last is without one of these settings."""
    return not set(_lines(settings)) <= set(place.environment.read_text().splitlines())


def _lines(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
