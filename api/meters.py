"""What the API counts, for Prometheus."""

import time

from prometheus_client import Counter, Gauge, Histogram
from quart import Quart, Response, g, request

REQUESTS = Histogram(
    "stickyfeed_api_request_seconds", "Time to answer, by route", ("method", "route", "status"),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)  # fmt: skip
OUTBOX_WAITING = Gauge("stickyfeed_outbox_waiting", "Events committed and not yet told to Kafka, counted up to 100,000")
OUTBOX_OLDEST = Gauge("stickyfeed_outbox_oldest_seconds", "How long the oldest of them has been waiting")
OUTBOX_TOLD = Counter("stickyfeed_outbox_told_total", "Events told to Kafka", ("path",))
OUTBOX_DELAY = Histogram(
    "stickyfeed_outbox_delay_seconds", "From an action to Kafka's acknowledgement of its event", ("path",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 60, 600),
)  # fmt: skip
OUTBOX_FAILURES = Counter("stickyfeed_outbox_failures_total", "Attempts that Kafka or MySQL did not let succeed")
READS = Counter("stickyfeed_reads_total", "Reads by the server that answered", ("server",))


def measure(app: Quart) -> None:
    """Times every request."""

    @app.before_request
    async def _begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    async def _end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        took = time.perf_counter() - getattr(g, "began", time.perf_counter())
        REQUESTS.labels(request.method, route, response.status_code).observe(took)
        return response
