"""Turns: which partitions are ours now, and where we stand in each. The logbook says where to begin, Kafka only whose it is."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from store.archive import Archive, ArchiveUnavailable
from store.logbook import Turn
from store.topic import Topic

log = logging.getLogger(__name__)
T = TypeVar("T")

Patiently = Callable[[Callable[[], Awaitable[T]]], Awaitable[T]]


class OutOfTurn(Exception):
    """What we hold is not what the logbook says: begin again where that stands."""


class Turns(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes the turn of every partition that Kafka gives us, and begins it at the logbook's place."""

    def __init__(self, archive: Archive, reader: AIOKafkaConsumer, topic: Topic, patiently: Patiently[None]) -> None:
        self._archive, self._reader, self._topic, self._patiently = archive, reader, topic, patiently
        self.epoch = topic.epoch
        self.mine: dict[int, Turn] = {}
        self._whole = False
        self._failed: Exception | None = None

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """A batch that is under way may end: the next owner repeats it, to the same effect."""
        for at in revoked:
            self.mine.pop(at.partition, None)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # The reader would begin where it likes, before the logbook has said where it is to.
        self._reader.pause(*assigned)
        try:
            await self._patiently(lambda: self._take([at.partition for at in assigned]))
        except Exception as error:
            # The caller would only log it, in a log that is mute, and we would hold partitions that are paused for ever.
            log.exception("taking our partitions failed")
            self._failed = error
            return
        self._failed = None
        self._reader.resume(*assigned)

    async def spans(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> dict[int, tuple[int, int]]:
        """From where to where each partition of the batch goes, without a hole to what was before. Raises OutOfTurn."""
        spans = {}
        for at, records in batch.items():
            if at.partition not in self.mine:
                raise OutOfTurn(f"records of partition {at.partition}, which is not ours: {self._failed!r}")
            stand = self.mine[at.partition].next
            # Offsets may have holes; but a reader whose place is gone from the log jumps to its beginning by itself.
            if records[0].offset > stand < (await self._reader.beginning_offsets([at]))[at]:
                raise OutOfTurn(f"records of partition {at.partition} from {stand} on are gone")
            spans[at.partition] = (min(stand, records[0].offset), records[-1].offset + 1)
        return spans

    async def record(self, spans: Mapping[int, tuple[int, int]], highest: Mapping[str, int | str]) -> None:
        """Everything in these is kept, with these highest numbers. Raises OutOfTurn if what is before them is not."""
        if not await self._archive.log(lambda logbook: logbook.advance(self._topic.epoch, spans, highest)):
            raise OutOfTurn("the archive has not come as far as this batch begins")
        for partition, (_, end) in spans.items():
            if partition in self.mine:
                self.mine[partition].next = end

    async def check(self) -> None:
        """Raises OutOfTurn unless the logbook says what we think. For idle moments: a batch finds out by itself."""
        if self._failed is not None:
            raise OutOfTurn(f"taking our partitions failed: {self._failed!r}")
        state = await self._archive.log(lambda logbook: logbook.state())
        if state is None or state.epoch != self._topic.epoch or state.emptying is not None:
            raise OutOfTurn("the archive was emptied, or is being emptied, or is of another topic")
        for partition, turn in self.mine.items():
            if (state.turns[partition], state.offsets[partition]) != (turn.number, turn.next):
                raise OutOfTurn(f"partition {partition} stands at {state.offsets[partition]}, we at {turn.next}")

    async def are_ours(self, partitions: Iterable[int]) -> list[int]:
        """Those of the partitions whose last turn, by the logbook, is ours. Raises ArchiveUnavailable."""
        state = await self._archive.log(lambda logbook: logbook.state())
        held = state.turns if state is not None else {}
        return [p for p in partitions if p in self.mine and held.get(p) == self.mine[p].number]

    async def is_whole(self) -> bool:
        """Whether the archive may be read. Raises ArchiveUnavailable."""
        if not self._whole:
            state = await self._archive.log(lambda logbook: logbook.state())
            self._whole = state is not None and not state.lacking and state.emptying is None
        return self._whole

    async def _take(self, partitions: list[int]) -> None:
        for partition in partitions:
            self.mine.pop(partition, None)
        self._whole = False
        if not partitions:
            return
        every = [TopicPartition(self._topic.name, partition) for partition in range(self._topic.partitions)]
        firsts = {at.partition: offset for at, offset in (await self._reader.beginning_offsets(every)).items()}
        ends = {at.partition: offset for at, offset in (await self._reader.end_offsets(every)).items()}
        epoch = self._topic.epoch
        if former := await self._archive.log(lambda logbook: logbook.begin(epoch, firsts, ends)):
            log.error(
                "topic %s is another one now (epoch %s, before it %s): from here on the archive goes on with this one, and "
                "cannot be rebuilt from Kafka any more",
                *(self._topic.name, epoch, former),
            )
        before = await self._archive.log(lambda logbook: logbook.state())
        taken = await self._archive.log(lambda logbook: logbook.take(epoch, firsts, partitions))
        if taken is None or before is None:
            raise ArchiveUnavailable("the archive is being emptied: `python -m store rebuild archive` goes on with it")
        for partition, turn in taken.items():
            if before.offsets[partition] < firsts[partition]:
                log.error(
                    "partition %d: records %d to %d are gone from Kafka before they were kept (retention?)",
                    *(partition, before.offsets[partition], firsts[partition] - 1),
                )
            self._reader.seek(TopicPartition(self._topic.name, partition), turn.next)
        self.mine.update(taken)
