"""An API process that stands still in the middle of something, with what it has locked: run as a program by test_api_frozen."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from api import migrate, outbox
from api.actions import Actions
from api.database import Database
from api.pool import DatabaseUnavailable
from store.events import Record
from store.timelines import Unknown, Wrote
from tests.integration.api_support import Remembering, make_settings


class Nobody(Wrote):
    """No Redis."""

    def __init__(self) -> None:
        pass

    async def mark(self, *_: object) -> None:
        raise Unknown("there is none")


class Numbers:
    """Nothing was set back."""

    def ensure_new(self) -> None:
        pass


class Slow(Remembering):
    """Kafka that takes its time, and says what it got."""

    async def publish(self, _: Sequence[Record]) -> None:
        stand_still()
        await asyncio.sleep(60)
        print("PUBLISHED", flush=True)


class Quick(Remembering):
    """Kafka that says what it got."""

    async def publish(self, _: Sequence[Record]) -> None:
        print("PUBLISHED", flush=True)


def stand_still() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


async def run(what: str, dsn: str, uid: int) -> None:
    """Stands still where `what` says, and says what becomes of it when it goes on."""
    settings = make_settings(Path(tempfile.mkdtemp()), {"MYSQL_PRIMARY": dsn, "MYSQL_REPLICA": dsn})
    async with Database(settings, Nobody()) as database:
        database.migrated.set()
        box = outbox.Outbox(database, (Quick if what == "before telling" else Slow)(settings))
        if what == "before telling":

            def in_order(*rows: object) -> object:
                stand_still()
                return ordered(*rows)  # type: ignore[arg-type]

            ordered, outbox.in_order = outbox.in_order, in_order  # type: ignore[assignment, attr-defined]
        try:
            if what == "acting":
                async with Actions(database, box, Numbers()).by(uid):  # type: ignore[arg-type]
                    stand_still()
            elif what == "migrating":
                await migrate.migrate(database.primary)
            else:
                await box._tell(None, "swept")
            print("DONE", flush=True)
        except DatabaseUnavailable:
            print("REFUSED", flush=True)


def stop_when_migrating() -> None:
    """The lock on migrations is held when the tables are looked at."""

    async def select_applied(conn: object) -> set[int]:
        stand_still()
        return set()

    migrate.select_applied = select_applied


if __name__ == "__main__":
    if sys.argv[1] == "migrating":
        stop_when_migrating()
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
