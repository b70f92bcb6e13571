"""One user's queue: who is let in, who waits, who is refused, and that nothing of it stays."""

import asyncio
from collections import Counter

import pytest

from api.concurrency import UserConcurrency
from api.errors import ApiError

BOB, DORA = 2, 3


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def held(users: UserConcurrency, uid: int, inside: list[int], release: asyncio.Event) -> int:
    """The status that it would be answered with."""
    try:
        async with users.slot(uid):
            inside.append(uid)
            await release.wait()
    except ApiError as error:
        assert error.retry_after == 1
        return error.status
    return 200


async def test_two_actions_of_a_user_go_on_at_once_a_few_wait_the_rest_is_refused_and_others_go_on() -> None:
    users, inside, release = UserConcurrency(at_once=2, most_waiting=3), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(held(users, BOB, inside, release)) for _ in range(9)]
    tasks.append(asyncio.create_task(held(users, DORA, inside, release)))
    await settle()
    assert Counter(inside) == {BOB: 2, DORA: 1}

    release.set()
    assert Counter(await asyncio.gather(*tasks)) == {200: 6, 429: 4}
    assert Counter(inside) == {BOB: 5, DORA: 1}
    assert users._queues == {}


async def test_who_waits_too_long_is_told_so_and_leaves_the_place() -> None:
    users, inside, release = UserConcurrency(at_once=1, most_waiting=1, longest_wait=0.01), list[int](), asyncio.Event()
    first = asyncio.create_task(held(users, BOB, inside, release))
    await settle()
    for _ in range(3):
        assert await held(users, BOB, inside, release) == 503
    release.set()

    assert await first == 200
    assert users._queues == {}


@pytest.mark.parametrize("is_inside", [True, False])
async def test_who_leaves_gives_the_place_to_the_next(is_inside: bool) -> None:
    users, inside, release = UserConcurrency(at_once=1, most_waiting=2), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(held(users, BOB, inside, release)) for _ in range(3)]
    await settle()
    tasks[0 if is_inside else 1].cancel()
    await settle()
    assert len(inside) == (2 if is_inside else 1)

    release.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [200, 200]
    assert users._queues == {}
