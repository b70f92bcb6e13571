"""What the storekeeper counts, for Prometheus."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram


class Meters:
    """Made once per process."""

    def __init__(self) -> None:
        self.kept = Counter("stickyfeed_storekeeper_events_total", "Records taken from Kafka and kept")
        self.dead = Counter(
            "stickyfeed_storekeeper_dead_total", "Records that were no events and went to the dead-letter topic"
        )
        self.batch_seconds = Histogram("stickyfeed_storekeeper_batch_seconds", "From a batch's arrival to its commit")
        self._lag = Gauge(
            "stickyfeed_storekeeper_lag", "Records that wait in a partition, as of the last batch", ["partition"]
        )

    def show_lag(self, lag: Mapping[int, int]) -> None:
        """Records that wait, of each partition that is this member's now; of no other."""
        self._lag.clear()
        for partition, records in lag.items():
            self._lag.labels(partition).set(records)
