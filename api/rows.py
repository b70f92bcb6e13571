"""The ways of running a statement. Values always go as parameters, never into the text.

Bytes can't be values: this aiomysql cannot escape them with a PyMySQL of 1.2 or later.
"""

from collections.abc import Collection
from typing import Any


async def fetch_one(conn: Any, sql: str, *values: object) -> tuple[Any, ...] | None:
    """The first row, None if there is none."""
    async with conn.cursor() as cursor:
        await cursor.execute(sql, values)
        row: tuple[Any, ...] | None = await cursor.fetchone()
        return row


async def fetch_all(conn: Any, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Every row."""
    async with conn.cursor() as cursor:
        await cursor.execute(sql, values)
        return list(await cursor.fetchall())


async def fetch_with(conn: Any, before: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Every row, after another statement without values, both in one round trip."""
    async with conn.cursor() as cursor:
        await cursor.execute(f"{before}; {sql}", values)
        await cursor.nextset()
        return list(await cursor.fetchall())


async def execute(conn: Any, sql: str, *values: object) -> tuple[int, int]:
    """How many rows were changed, and the id that was given to an inserted one."""
    async with conn.cursor() as cursor:
        await cursor.execute(sql, values)
        return cursor.rowcount, cursor.lastrowid


def marks(values: Collection[object]) -> str:
    """The place in a statement for a list of values, as `IN` wants it."""
    return "(" + ", ".join(["%s"] * len(values)) + ")"
