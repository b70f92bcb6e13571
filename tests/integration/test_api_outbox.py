"""The outbox on a real primary: nothing lost (G1), and each author's events in the order of their actions (G2)."""

import asyncio
import json
import random
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from api import outbox
from api.outbox_rows import begin_with_oldest, select_ids
from api.settings import ApiSettings
from store import events
from store.events import Record
from store.process import cancel
from tests.integration.api_support import Api, Person, running_api, settings, until

__all__ = ["settings"]


def texts(log: list[Record], author: int) -> list[str]:
    events = [json.loads(record.value) for record in log if record.key == str(author).encode()]
    return [event["object"]["text"] for event in events if event["type"] == "post"]


async def waiting(api: Api, person: Person) -> int:
    async with api.parts.database.primary.connection(5) as conn:
        return len(await select_ids(conn, [person.id], 2**62))


async def test_what_was_told_leaves_the_table(settings: ApiSettings) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        for number in range(20):
            await api.post(person, str(number))
        await until(lambda: len(api.publisher.events(person.id)) == 21)
        async with asyncio.timeout(10):
            while await waiting(api, person):
                await asyncio.sleep(0.01)

        assert texts(api.publisher.log, person.id) == [str(number) for number in range(20)]


async def test_g1_what_a_process_committed_and_never_told_is_swept_by_another(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 20)
    async with running_api(settings, outbox=False) as dying:
        person = await dying.person()
        for number in range(50):
            await dying.post(person, str(number))
    async with running_api(settings) as api:
        await until(lambda: len(texts(api.publisher.log, person.id)) == 50)

        assert texts(api.publisher.log, person.id) == [str(number) for number in range(50)]


async def test_g1_a_process_killed_between_telling_and_deleting_tells_twice_and_loses_nothing(
    settings: ApiSettings,
) -> None:
    log: list[Record] = []
    async with running_api(settings, log, outbox=False) as dying:
        person = await dying.person()
        await dying.post(person, "a")
        publish = dying.publisher.publish

        async def then_die(records: list[Record]) -> None:
            await publish(records)
            raise asyncio.CancelledError

        dying.publisher.publish = then_die  # type: ignore[assignment, method-assign]
        task = asyncio.create_task(dying.parts.outbox.run())
        await asyncio.wait([task])
        assert task.cancelled()
        assert texts(log, person.id) == ["a"]
    async with running_api(settings, log) as api:
        await until(lambda: texts(log, person.id) == ["a", "a"])
        await until(lambda: api.parts.outbox.waiting == 0)


async def test_g1_while_kafka_is_away_actions_are_answered_and_told_when_it_is_back(settings: ApiSettings) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        await until(lambda: len(api.publisher.events(person.id)) == 1)
        api.publisher.refusing = True
        for number in range(5):
            assert (await api.post(person, str(number))).status == 201
        await until(lambda: api.parts.outbox.waiting >= 5)
        ready = await api.call("GET", "/readyz")
        assert (ready.status, ready.body["outbox"]["waiting"] >= 5) == (200, True)
        api.publisher.refusing = False
        await until(lambda: len(texts(api.publisher.log, person.id)) == 5)

        assert texts(api.publisher.log, person.id) == [str(number) for number in range(5)]


async def test_g1_what_finds_the_waiting_line_full_is_left_to_the_sweep(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(settings) as api:
        monkeypatch.setattr(outbox, "_LONGEST_LINE", 0)
        person = await api.person()
        await api.post(person, "late")

        await until(lambda: texts(api.publisher.log, person.id) == ["late"])


async def test_a_row_that_somebody_locks_in_passing_is_told_at_once_all_the_same(settings: ApiSettings) -> None:
    async with running_api(settings, outbox=False) as api:  # nothing is swept here
        person = await api.person()
        async with api.parts.database.primary.connection(5) as conn:
            assert await begin_with_oldest(conn, 500)
            telling = asyncio.create_task(api.parts.outbox.run())
            await asyncio.sleep(0.05)
            assert texts(api.publisher.log, person.id) == []
            await conn.rollback()

        await until(lambda: len(api.publisher.events(person.id)) == 1)
        await cancel(telling)


async def test_g2_an_older_row_that_another_process_holds_is_waited_for(settings: ApiSettings) -> None:
    log: list[Record] = []
    async with running_api(settings, log) as slow, running_api(settings, log) as quick:
        person = await slow.person()
        await until(lambda: len(log) and log[-1].key == str(person.id).encode())
        gate, reached = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            reached.set()
            await gate.wait()

        slow.publisher.before = wait
        await slow.post(person, "first")
        await reached.wait()
        await quick.post(person, "second")
        await asyncio.sleep(0.5)
        assert texts(log, person.id) == []
        gate.set()

        await until(lambda: texts(log, person.id) == ["first", "second"])


async def test_g2_on_two_processes_with_publishers_of_changing_pace_every_author_keeps_their_order(
    settings: ApiSettings,
) -> None:
    log: list[Record] = []
    chance = random.Random(7)

    async def dawdle() -> None:
        await asyncio.sleep(chance.choice((0, 0, 0.002, 0.02, 0.1)))

    async with running_api(settings, log) as one, running_api(settings, log) as other:
        one.publisher.before = other.publisher.before = dawdle
        people = [await one.person() for _ in range(6)]
        committed: dict[int, list[str]] = {person.id: [] for person in people}

        async def act(person: Person, number: int) -> None:
            answer = await chance.choice((one, other)).post(person, str(number))
            assert answer.status == 201, answer

        async def live(person: Person) -> None:
            for number in range(40):
                await act(person, number)
                committed[person.id].append(str(number))

        await asyncio.gather(*(live(person) for person in people))
        await until(lambda: all(len(set(texts(log, person.id))) == 40 for person in people), 20)

        for person in people:
            assert list(dict.fromkeys(texts(log, person.id))) == committed[person.id]
        assert max(Counter((r.key, dict(r.headers)["id"]) for r in log).values()) == 1, (
            "nothing failed, so nothing is told twice"
        )


async def test_g2_at_once_on_two_processes_events_are_in_the_order_of_their_times_ids_and_posts(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that is put a second forth and back all the time.
    uuid7 = events._uuid7

    def at_odd_times(at: datetime) -> UUID:
        return uuid7(at + timedelta(seconds=random.choice((0, 1))))

    monkeypatch.setattr(events, "_uuid7", at_odd_times)
    log: list[Record] = []
    async with running_api(settings, log) as one, running_api(settings, log) as other:
        person = await one.person()

        async def act(number: int) -> None:
            while (await (one, other)[number % 2].post(person, str(number))).status != 201:
                pass  # all wait for one row, which a slow machine may not see through in time

        await asyncio.gather(*(act(number) for number in range(60)))
        await until(lambda: len(texts(log, person.id)) == 60, 20)
        told = [json.loads(record.value) for record in log if record.key == str(person.id).encode()]

        assert [event["at"] for event in told] == sorted(event["at"] for event in told)
        # Pages of the archive are in the order of event ids.
        assert [event["id"] for event in told] == sorted({event["id"] for event in told})
        ids = [event["object"]["id"] for event in told if event["type"] == "post"]
        assert ids == sorted(ids)
