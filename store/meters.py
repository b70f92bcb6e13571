"""What the storekeeper counts, for Prometheus."""

from prometheus_client import Counter, Histogram


class Meters:
    """Made once per process."""

    def __init__(self) -> None:
        self.kept = Counter("stickyfeed_storekeeper_events_total", "Records taken from Kafka and kept")
        self.dead = Counter(
            "stickyfeed_storekeeper_dead_total", "Records that were no events and went to the dead-letter topic"
        )
        self.batch_seconds = Histogram("stickyfeed_storekeeper_batch_seconds", "From a batch's arrival to its commit")
