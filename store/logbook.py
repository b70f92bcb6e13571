"""The logbook: how far the archive has come in the log, whose turn each partition is, and whether the archive is whole.

One document of the archive, so that it is read and changed at once. What it says is the rule for everybody:

- Progress only moves on from where it stands. A member that was overtaken, or whose archive was emptied, restored or set back
  under it, sees its step refused, and begins again where the logbook says.
- Each time a partition is given to a member its turn grows, so that what a member of before still does is known for what it is.
- An archive that is being made anew is not read until it has come as far as the log was when that began.
- The highest numbers of accounts, posts and events only ever grow, also when the archive is made anew.
- An archive that has events of another topic, which this one's log cannot give back, is never emptied.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument

from store.cursor import Cursor
from store.highest import Highest

_ID = "log"


@dataclass(slots=True)
class Turn:
    """A partition that is ours: the next offset to keep, and the number of the turn."""

    next: int
    number: int


@dataclass(frozen=True, slots=True)
class State:
    """`whole` is where the archive will be whole; empty when it is. `emptying` is set while a rebuild takes the old away.

    `former` are the epochs of other topics, of which the archive has events too.
    """

    epoch: str
    offsets: dict[int, int]
    turns: dict[int, int]
    whole: dict[int, int]
    emptying: str | None
    former: frozenset[str]
    highest: Highest | None = None  # None before a version that keeps it has kept anything

    @property
    def lacking(self) -> int:
        """How many records of the log are still to come before the archive is whole."""
        return sum(max(0, end - self.offsets[partition]) for partition, end in self.whole.items())

    @property
    def cursor(self) -> Cursor:
        """The cursor up to which the archive is complete."""
        return Cursor(self.epoch, tuple(self.offsets[partition] for partition in sorted(self.offsets)))

    @property
    def lack(self) -> str:
        """Why the archive is not whole; empty if it is."""
        if self.emptying is not None:
            return "the archive is being emptied; should that have stopped, `python -m store rebuild archive` again"
        return f"the archive is being made anew from Kafka: {self.lacking} records to come" if self.lacking else ""


class Logbook:
    """Raises what the driver raises; the archive turns that into its own error."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def state(self) -> State | None:
        """None before a storekeeper has ever run on this archive."""
        return _state(await self._collection.find_one({"_id": _ID}))

    async def begin(self, epoch: str, firsts: Mapping[int, int], ends: Mapping[int, int]) -> str | None:
        """Begins the logbook of a new archive, which is whole when it has come to `ends`, or of a topic that was made anew.

        Partitions that were added to the topic since are added here. Answers the epoch of before if we are those who met a
        topic that was made anew. An emptying that was under way ends with its topic: what is left of the archive is nowhere else.
        """
        fresh = {"epoch": epoch, "off": _keys(firsts), "turn": _keys(dict.fromkeys(firsts, 0)), "emptying": None}
        await self._collection.update_one({"_id": _ID}, {"$setOnInsert": {**fresh, "whole": _keys(ends)}}, upsert=True)
        before = await self.state()
        if before is None or before.epoch == epoch:
            if before is not None and (added := firsts.keys() - before.offsets.keys()):
                await self._collection.update_one(
                    {"_id": _ID, "epoch": epoch},
                    {"$max": {f"off.{p}": firsts[p] for p in added}, "$inc": {f"turn.{p}": 0 for p in added}},
                )
            return None
        done = await self._collection.update_one(
            {"_id": _ID, "epoch": before.epoch},
            {"$set": {**fresh, "whole": {}}, "$addToSet": {"former": before.epoch}},
        )
        return before.epoch if done.matched_count else None

    async def take(self, epoch: str, firsts: Mapping[int, int], mine: Collection[int]) -> dict[int, Turn] | None:
        """Takes these partitions: a new turn of each, and where to begin, at `firsts` if the log begins later than we stand.

        None if the archive is being emptied, or the logbook is of another topic.
        """
        found = _state(
            await self._collection.find_one_and_update(
                {"_id": _ID, "epoch": epoch, "emptying": None},
                {"$inc": {f"turn.{p}": 1 for p in mine}, "$max": {f"off.{p}": firsts[p] for p in mine}},
                return_document=ReturnDocument.AFTER,
            )
        )
        return None if found is None else {p: Turn(found.offsets[p], found.turns[p]) for p in mine}

    async def advance(
        self, epoch: str, spans: Mapping[int, tuple[int, int]], highest: Mapping[str, int | str] | None = None
    ) -> bool:
        """Everything from start to end of these is in the archive. False, and nothing done, if it had not come to each start."""
        reached = {f"off.{p}": {"$gte": start} for p, (start, _) in spans.items()}
        done = await self._collection.update_one(
            {"_id": _ID, "epoch": epoch, "emptying": None, **reached},
            {"$max": {f"off.{p}": end for p, (_, end) in spans.items()} | _highest(highest or {})},
        )
        return bool(done.matched_count)

    async def note_highest(self, highest: Mapping[str, int | str]) -> None:
        """Notes numbers that the archive has known since before they were kept here."""
        if highest:
            await self._collection.update_one({"_id": _ID}, {"$max": _highest(highest)})

    async def start_emptying(self, epoch: str, by: str, ends: Mapping[int, int]) -> State | None:
        """From now on nothing is read, and no progress made, until `finish_emptying`. Returns how things stood before.

        None, and nothing done, if the archive has events of another topic than that of the epoch, or is of another one.
        """
        return _state(
            await self._collection.find_one_and_update(
                {"_id": _ID, "epoch": epoch, "former.0": {"$exists": False}},
                {"$set": {"emptying": by, "whole": _keys(ends)}},
                return_document=ReturnDocument.BEFORE,
            )
        )

    async def finish_emptying(self, by: str, firsts: Mapping[int, int]) -> bool:
        """From now on the storekeeper fills the archive again. False, and nothing done, if somebody else has begun to empty it."""
        done = await self._collection.update_one(
            {"_id": _ID, "emptying": by}, {"$set": {"emptying": None, "off": _keys(firsts)}}
        )
        return bool(done.matched_count)


def _keys(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in offsets.items()}


def _highest(highest: Mapping[str, int | str]) -> dict[str, int | str]:
    return {f"highest.{name}": number for name, number in highest.items()}


def _state(row: Mapping[str, Any] | None) -> State | None:
    if row is None:
        return None
    offsets, turns, whole = ({int(p): n for p, n in row[name].items()} for name in ("off", "turn", "whole"))
    highest = Highest.parse(row["highest"]) if "highest" in row else None
    return State(row["epoch"], offsets, turns, whole, row["emptying"], frozenset(row.get("former", ())), highest)
