"""Health, for the edge and for whoever watches."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Blueprint, Response
from quart_schema import hide

from api.identity import public
from api.parts import parts

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
@hide
async def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@public
@hide
async def readyz() -> tuple[dict[str, object], int]:
    """Ready while one of the two MySQL servers answers: reads go on without the primary, and events wait without Kafka.

    A MySQL that was set back is told here, and keeps nobody from reading: numbers.py refuses what writes.
    """
    here = parts()
    database = here.database
    missing = {}
    if not database.migrated.is_set():
        missing["tables"] = "the primary has not been reached yet"
    elif not (database.primary.up or database.replica.up):
        missing["mysql"] = "neither the primary nor the replica answers"
    elif not here.numbers.compared.is_set():
        missing["numbers"] = "the numbers of MySQL have not been compared with the archive's yet"
    replica = "down" if not database.replica.up else "late" if database.replica_is_late else "up"
    body = {
        "ready": not missing,
        "missing": missing,
        "primary": "up" if database.primary.up else "down",
        "replica": replica,
        "set_back": here.numbers.proof,
        "outbox": {"waiting": here.outbox.waiting, "oldest_seconds": round(here.outbox.oldest_seconds, 1)},
    }
    return body, 503 if missing else 200


@blueprint.get("/metrics")
@public
@hide
async def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
