"""How many writes go to MongoDB at once. Each may be repeated, to the same effect. Both raise ArchiveUnavailable."""

from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from store.archive_errors import mongo_or_unavailable
from store.archive_writes import Write

_DUPLICATE_KEY = 11000
# Updates in one call: done again they take as long as at first, so a call has to end within the bound on calls on slow servers too.
_AT_ONCE = 100


async def insert_new(collection: Any, documents: Sequence[dict[str, Any]]) -> None:
    """Adds those that are not there. Inserts, because as upserts they take MongoDB-compatible servers several times as long."""
    if documents:
        with mongo_or_unavailable():
            try:
                await collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                if not _only_duplicates(error):
                    raise


async def carry_out(collection: Any, writes: Sequence[Write]) -> None:
    """Carries out the writes, in any order. A duplicate key only says that a write of the same _id, as new or newer, is there."""
    for start in range(0, len(writes), _AT_ONCE):
        with mongo_or_unavailable():
            try:
                await collection.bulk_write(writes[start : start + _AT_ONCE], ordered=False)
            except BulkWriteError as error:
                if not _only_duplicates(error):
                    raise


def _only_duplicates(error: BulkWriteError) -> bool:
    """Whether all that was wrong is that it was there before, and the rest is safe on disk."""
    failed = error.details["writeErrors"]
    safe = not error.details.get("writeConcernErrors")
    return bool(failed) and safe and all(one["code"] == _DUPLICATE_KEY for one in failed)
