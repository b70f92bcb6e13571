"""How the archive fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import PyMongoError


class ArchiveUnavailable(Exception):
    """MongoDB did not answer, or refused, or the archive is not whole; whether a write took effect is unknown."""


@contextmanager
def mongo_or_unavailable() -> Iterator[None]:
    """Turns every failure of MongoDB into ArchiveUnavailable."""
    try:
        yield
    except PyMongoError as error:
        raise ArchiveUnavailable(f"MongoDB: {error!s:.300}") from error
