"""Accounts: sign up, and who one is."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from aiomysql import IntegrityError
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from quart import Blueprint, Response
from quart_schema import document_request, document_response

from api import answers
from api.bodies import Body, read_body
from api.errors import ApiError, not_found
from api.identity import ensure_same_origin, public, who
from api.parts import parts
from api.rows import execute
from api.sessions import begin_session, with_cookies
from api.users import select_user
from store.events import EventType, Person

blueprint = Blueprint("accounts", __name__)

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def _plain_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("only letters a to z, digits, dots, dashes and underscores")
    return name


class SignUp(Body):
    """A new account. Names are unique without regard to case."""

    username: Annotated[str, Field(min_length=3, max_length=32), AfterValidator(_plain_name)]
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
    hashed = await here.passwords.hash(body.password)
    async with here.actions.by_somebody_new(body.username) as action:
        uid = await insert_user(action.conn, body.username, hashed, body.gender, action.now)
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


async def insert_user(conn: Any, username: str, hashed: str, gender: str | None, now: datetime) -> int:
    """The id of the new user. Raises ApiError 409 if somebody has the name, also if they got it only just now."""
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
        raise ApiError(409, "username-taken", "somebody has this name already", field="username") from None
    return uid
