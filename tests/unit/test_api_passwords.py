"""Passwords: the waiting line, and what an unknown name costs."""

import asyncio

import pytest

from api import passwords
from api.errors import ApiError
from api.migrate import statements
from api.passwords import Passwords, hash_now


async def test_the_right_password_is_right_and_every_other_is_wrong() -> None:
    async with Passwords() as line:
        hashed = await line.hash("correct horse")

        assert await line.verify(hashed, "correct horse")
        assert not await line.verify(hashed, "correct horsf")
        assert not await line.verify("not a hash", "correct horse")
        assert not await line.verify(None, "correct horse")


async def test_an_unknown_name_costs_one_hashing_like_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    right = passwords._is_right

    def noted(hashed: str, password: str) -> bool:
        asked.append(hashed)
        return right(hashed, password)

    monkeypatch.setattr(passwords, "_is_right", noted)
    async with Passwords() as line:
        await line.verify(hash_now("one"), "guess")
        await line.verify(None, "guess")

    # The same work: argon2 reads its parameters from the hash.
    assert len(asked) == 2
    assert asked[0].split("$")[:4] == asked[1].split("$")[:4]


async def test_when_the_line_is_full_the_next_is_sent_away_at_once_and_the_others_are_served() -> None:
    async with Passwords(longest_line=3) as line:
        waiting = [asyncio.create_task(line.hash("correct horse")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as caught:
            await line.hash("correct horse")

        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "busy", 1)
        assert all(await asyncio.gather(*waiting))
        assert line.waiting == 0


def test_a_script_is_cut_into_its_statements() -> None:
    script = "-- a; comment;\nCREATE TABLE a (\n  b INT\n);\n\n-- more\nINSERT INTO a VALUES (';');\n"

    assert statements(script) == ["CREATE TABLE a (\n  b INT\n)", "INSERT INTO a VALUES (';')"]
