"""The shapes of what the API answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from quart import Response


class Token(BaseModel):
    """A session's access token, and what gets the next one. `expires_at` is in seconds since 1970."""

    object: Literal["token"] = "token"
    token: str
    userId: int
    username: str
    expires_at: int
    refresh_token: str


class User(BaseModel):
    """A person as everybody may see them."""

    object: Literal["user"] = "user"
    id: int
    username: str
    gender: Literal["f", "m", "x"] | None
    created_at: str


class Profile(User):
    """A person, and how many they follow and are followed by: 10001 means more than 10000, which nobody counts."""

    followers: int
    following: int


class Friend(BaseModel):
    """Somebody whom you follow."""

    object: Literal["friend"] = "friend"
    id: int
    username: str


class Users(BaseModel):
    """One page of people; `next` goes into `after` for the next one, null on the last page."""

    items: list[User]
    next: str | None


class Post(BaseModel):
    """What you have written, and the id of the event that tells of it."""

    object: Literal["post"] = "post"
    id: int
    text: str
    at: str
    event_id: str


class Written(BaseModel):
    """A post as everybody may read it."""

    object: Literal["post"] = "post"
    id: int
    text: str
    at: str


class Posts(BaseModel):
    """Newest first. `next` goes into `before` for older ones, null on the last page."""

    items: list[Written]
    next: str | None


class FeedEvent(BaseModel):
    """An event, exactly as streams deliver it."""

    id: str
    type: str
    at: str
    actor: dict[str, int | str]
    object: dict[str, int | str]


class FeedPage(BaseModel):
    """Newest first. `next` goes into `before` for older ones; a stream goes on from `cursor`."""

    items: list[FeedEvent]
    next: str | None
    cursor: str


class Keys(BaseModel):
    """A JWK Set (RFC 7517)."""

    keys: list[dict[str, str]]


class Nothing(BaseModel):
    """It is done; the answer has no body."""


class Problem(BaseModel):
    """Why not: a code for programs, a text for people, and the field at fault if there is one."""

    error: str
    message: str
    field: str | None = Field(default=None)


def reply(answer: BaseModel, status: int = 200) -> Response:
    """The answer as JSON."""
    return Response(answer.model_dump_json(), status, content_type="application/json")


def instant(at: datetime) -> str:
    """UTC with milliseconds, as in events: 2026-11-23T20:15:04.123Z."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
