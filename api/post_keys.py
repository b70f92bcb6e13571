"""The Idempotency-Key of a post: whoever sends a post again with the key of the first attempt gets its answer, not a second post.

As in draft-ietf-httpapi-idempotency-key-header, but that a retry which meets the first attempt under way waits for its answer
instead of getting 409: both lock the user's row. A key is kept for a day, in the transaction of its post.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field
from quart import request

from api.errors import ApiError, invalid
from api.rows import execute, fetch_one

_HEADER = "Idempotency-Key"
_LONGEST = 128
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')  # a String of RFC 8941, without spaces
_BARE = re.compile(
    r"[!#-+\--:<-\[\]-~]+"
)  # as many clients send it, without quotes; no comma, semicolon, quote, backslash
_KEPT = timedelta(days=1)


class PostHeaders(BaseModel):
    """For the OpenAPI document."""

    idempotency_key: str = Field(
        default="",
        description="Choose one at random for each new post, and send it again with every retry, for up to a day: there will be"
        f" one post, and the same answer; 422 if the text is another. 1 to {_LONGEST} visible ASCII characters in quotes.",
    )


@dataclass(frozen=True, slots=True)
class Made:
    """The post that a key has made."""

    post: int
    event_id: str
    at: datetime


def sent_key() -> str | None:
    """The request's key, None if it has none. Raises ApiError 400 for what is none."""
    lines = request.headers.getlist(_HEADER)
    if not lines:
        return None
    if len(lines) > 1:
        raise invalid(_HEADER, f"there is more than one {_HEADER} header")
    quoted = _QUOTED.fullmatch(lines[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else lines[0] if _BARE.fullmatch(lines[0]) else ""
    if not 1 <= len(key) <= _LONGEST:
        raise invalid(_HEADER, f'{_HEADER} must be 1 to {_LONGEST} visible ASCII characters in quotes, like "0b6c…"')
    return key


async def select_made(conn: Any, uid: int, key: str, text: str) -> Made | None:
    """What the user has made with the key before; the user is locked already. Raises ApiError 422 if that was another text."""
    row = await fetch_one(
        conn,
        "SELECT post, event_id, at, body = UNHEX(%s) FROM post_keys WHERE user_id = %s AND name = %s",
        _digest(text),
        uid,
        key,
    )
    if row is None:
        return None
    if not row[3]:
        raise ApiError(422, "key-reused", "this key has been used for another text", field=_HEADER)
    return Made(row[0], row[1], row[2])


async def insert_made(conn: Any, uid: int, key: str, text: str, made: Made) -> None:
    """Remembers what the key has made, in the transaction that makes it."""
    await execute(
        conn,
        "INSERT INTO post_keys (user_id, name, body, post, event_id, at) VALUES (%s, %s, UNHEX(%s), %s, %s, %s)",
        uid,
        key,
        _digest(text),
        made.post,
        made.event_id,
        made.at,
    )


async def delete_old_keys(conn: Any, now: datetime, limit: int) -> int:
    """How many keys went that are over a day old, at most `limit`."""
    gone, _ = await execute(conn, "DELETE FROM post_keys WHERE at < %s LIMIT %s", now - _KEPT, limit)
    return gone


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
