"""Accounts: sign up, and who one is."""

import time
from datetime import datetime
from typing import Annotated, Any, Literal

from aiomysql import IntegrityError
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from quart import Blueprint, Response
from quart_schema import document_request, document_response

from api import answers
from api.bodies import Body, read_body
from api.departures import insert_departure
from api.errors import ApiError, not_found
from api.identity import ensure_same_origin, public, who
from api.migrate import JANITOR
from api.names import LONGEST, SHORTEST, identity_of, is_name
from api.parts import parts
from api.rows import execute, fetch_one
from api.sessions import begin_session, with_cookies, without_cookies_of
from api.tries import Purpose
from api.users import select_user
from store.events import EventType, Person
from store.session_ends import SessionEnd

blueprint = Blueprint("accounts", __name__)


def _plain_name(name: str) -> str:
    if not is_name(name):
        raise ValueError("only letters a to z, digits, dots, dashes and underscores")
    return name


class SignUp(Body):
    """A new account. Names are unique without regard to case."""

    username: Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST), AfterValidator(_plain_name)]
    password: str = Field(min_length=8, max_length=128)
    passwordConfirm: str
    gender: Literal["f", "m", "x"] | None = None

    @field_validator("passwordConfirm")
    @classmethod
    def _is_the_password(cls, value: str, fields: ValidationInfo) -> str:
        if "password" in fields.data and fields.data["password"] != value:
            raise ValueError("the two passwords differ")
        return value


@blueprint.post("/v1/auth/sign-up")
@public
@document_request(SignUp)
@document_response(answers.Token, 201)
async def sign_up() -> Response:
    """Make an account and begin its first session."""
    ensure_same_origin()
    body, here = await read_body(SignUp), parts()
    async with here.tries.one(Purpose.SIGN_UP, identity_of(body.username)) as attempt:
        hashed = await here.passwords.hash(body.password)
        async with here.actions.by_somebody_new(body.username) as action:
            uid = await insert_user(action.conn, body.username, hashed, body.gender, action.now)
            if uid is None:
                attempt.counts = True
                raise ApiError(409, "username-taken", "somebody has this name already", field="username")
            action.actor = Person(uid, body.username)
            answer = await begin_session(here, action)
            await action.tell(EventType.SIGN_UP, {})
    return with_cookies(here, answer, 201)


@blueprint.get("/v1/me")
@document_response(answers.User, 200)
async def me() -> Response:
    """Who you are."""
    user = await parts().database.read(who().uid, select_user, who().uid)
    if user is None:
        raise not_found("user")
    return answers.reply(user)


class Leaving(Body):
    """The password once more: a token that was stolen or left open must not be enough."""

    password: str = Field(max_length=128)


@blueprint.delete("/v1/me")
@document_request(Leaving)
@document_response(answers.Nothing, 204)
async def leave() -> Response:
    """Delete your account with everything in it, at once and for ever. Your name is free for others then."""
    body, here, uid = await read_body(Leaving), parts(), who().uid
    if uid == JANITOR:
        raise ApiError(403, "janitor", "the janitor stays")
    async with here.tries.one(Purpose.LEAVE, str(uid)) as attempt:
        hashed = await here.database.read_primary(select_password, uid)
        if not await here.passwords.verify(hashed, body.password):
            attempt.counts = True
            raise ApiError(403, "wrong-password", "the password is wrong", field="password")
    until = int(time.time()) + here.settings.token_life
    async with here.actions.by(uid) as action:
        await action.tell(EventType.ACCOUNT_DELETED, {})
        await insert_departure(action.conn, uid, action.now)
        action.afterwards.append(lambda: here.sessions.tell_ended([SessionEnd(uid)], until))
    return without_cookies_of(uid)


async def select_password(conn: Any, uid: int) -> str | None:
    """The hash of the user's password."""
    row = await fetch_one(conn, "SELECT password FROM users WHERE id = %s", uid)
    return row[0] if row else None


async def insert_user(conn: Any, username: str, hashed: str, gender: str | None, now: datetime) -> int | None:
    """The id of the new user; None if somebody has the name, also if they got it only just now."""
    try:
        _, uid = await execute(
            conn,
            "INSERT INTO users (username, password, gender, created_at) VALUES (%s, %s, %s, %s)",
            username,
            hashed,
            gender,
            now,
        )
    except IntegrityError:
        return None
    return uid
