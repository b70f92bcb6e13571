"""What a node counts, for Prometheus."""

from prometheus_client import Counter, Gauge

from stream.node import Node


class Meters:
    """Made once per process."""

    def __init__(self, node: Node) -> None:
        self.events = Counter("stickyfeed_stream_events_total", "Events that the tail has read into the ring")
        self.not_events = Counter("stickyfeed_stream_not_events_total", "Records that were passed over")
        self.delivered = Counter("stickyfeed_stream_frames_total", "Frames given to streams", ["door"])
        self.opened = Counter("stickyfeed_stream_opened_total", "Streams opened", ["door"])
        self.ended = Counter("stickyfeed_stream_ended_total", "Streams ended by us", ["reason"])
        self.gaps = Counter("stickyfeed_stream_gaps_total", "Gaps announced", ["reason"])
        Gauge("stickyfeed_stream_open", "Streams open now").set_function(lambda: len(node.hub or ()))
        Gauge("stickyfeed_stream_ring_entries", "Events in the ring").set_function(lambda: len(node.ring or ()))
        Gauge(
            "stickyfeed_stream_ring_bytes", "Bytes that the ring takes, with what is kept beside its events"
        ).set_function(lambda: node.ring.bytes if node.ring else 0)
