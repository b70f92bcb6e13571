"""The settings of a stream node."""

from typing import Annotated

from pydantic import Field

from store.settings import Settings


class StreamSettings(Settings):
    """Times are in seconds."""

    stream_bind: str = "127.0.0.1:8201"
    stream_wire_bind: str = "127.0.0.1:8202"
    node_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "stream-1"
    ring_seconds: Annotated[int, Field(ge=10, le=86400)] = 600
    ring_max_bytes: Annotated[int, Field(ge=2**20)] = 256 * 2**20
    heartbeat: Annotated[int, Field(ge=1, le=45)] = 15
    streams_per_user: Annotated[int, Field(ge=1)] = 20
    streams_per_node: Annotated[int, Field(ge=1)] = 20_000
    slow_after: Annotated[int, Field(ge=5)] = 30  # longer than any hiccup of a phone, shorter than the edge's silence
    stream_max_age: Annotated[int, Field(ge=60)] = 4 * 3600
    drain: Annotated[int, Field(ge=0, le=600)] = 8
