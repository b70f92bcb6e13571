"""Sessions: sign in, go on with a new token, sign out."""

import time
from typing import Any

from pydantic import Field
from quart import Blueprint, Response, jsonify, request
from quart_schema import document_request, document_response

from api import answers
from api.actions import Action
from api.bodies import Body, parse, read_body, read_raw
from api.errors import ApiError
from api.identity import ensure_same_origin, public, who
from api.names import identity_of, is_name
from api.parts import Parts, parts
from api.rows import fetch_one
from api.session_rows import (
    family_of,
    insert_refresh_token,
    insert_session,
    select_refresh_token,
    update_refresh_tokens_used,
    update_session_ended,
)
from api.tries import Purpose
from store.events import EventType
from store.session_ends import SessionEnd
from store.tokens import claims_of

blueprint = Blueprint("sessions", __name__, url_prefix="/v1/auth")

ACCESS_COOKIE, REFRESH_COOKIE = "sf_access", "sf_refresh"
_ACCESS_PATH, _REFRESH_PATH = "/v1/", "/v1/auth/refresh"
_WRONG = "the name or the password is wrong"


class SignIn(Body):
    """Any texts: what breaks a rule of names or passwords is simply nobody's."""

    username: str = Field(max_length=128)
    password: str = Field(max_length=128)


class Refresh(Body):
    """For clients without cookies."""

    refresh_token: str | None = Field(default=None, max_length=128)


@blueprint.post("/sign-in")
@public
@document_request(SignIn)
@document_response(answers.Token, 200)
async def sign_in() -> Response:
    """Begin a session. An unknown name and a wrong password get the same answer in the same time."""
    ensure_same_origin()
    body, here = await read_body(SignIn), parts()
    if not is_name(body.username):
        await here.passwords.verify(None, body.password)
        raise _refused("wrong-credentials", _WRONG)
    async with here.tries.one(Purpose.SIGN_IN, identity_of(body.username)) as attempt:
        user = await here.database.read_primary(select_credentials, body.username)
        if not await here.passwords.verify(user[1] if user else None, body.password) or user is None:
            attempt.counts = True
            raise _refused("wrong-credentials", _WRONG)
    async with here.actions.by(user[0]) as action:
        answer = await begin_session(here, action)
        await action.tell(EventType.LOGIN, {})
    return with_cookies(here, answer)


@blueprint.post("/refresh")
@public
@document_request(Refresh)
@document_response(answers.Token, 200)
async def refresh() -> Response:
    """A new token for a refresh token, from the body or the cookie. Each is good once: using one again ends the session.

    Except within an hour, and before what was given out for it is used: then its answer may have been lost on the way.
    """
    here, token = parts(), await _sent_refresh_token()
    known = await here.database.read_primary(select_refresh_token, token)
    if known is None:
        raise _refused("refresh-invalid", "the refresh token is not ours or has expired: sign in again")
    await here.tries.count(Purpose.REFRESH, known.session_id)
    async with here.actions.by(known.user_id) as action:
        # Read again under the lock on the user: of two who use it at once, one is second.
        known = await select_refresh_token(action.conn, token)
        if known is None or known.is_over(action.now):
            raise _refused("refresh-invalid", "the session has ended: sign in again")
        reused = known.is_reused(action.now)
        if reused:
            await end_session(here, action, known.session_id)
        else:
            if known.own and known.own.used_at is None:
                await update_refresh_tokens_used(action.conn, known.session_id, token, action.now)
            answer = await continue_session(here, action, known.session_id, family_of(token))
    if reused:
        raise _refused("refresh-reused", "this refresh token was used before, so the session was ended: sign in again")
    return with_cookies(here, answer)


@blueprint.post("/sign-out")
@document_response(answers.Nothing, 204)
async def sign_out() -> Response:
    """End the session: its tokens open nothing more, and its streams are closed."""
    here = parts()
    async with here.actions.by(who().uid) as action:
        await end_session(here, action, who().sid)
    return without_cookies_of(who().uid, who().sid)


@blueprint.get("/keys")
@public
@document_response(answers.Keys, 200)
async def keys() -> Response:
    """The public keys of our tokens."""
    response: Response = jsonify(parts().verifier.keys.jwks())
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


async def begin_session(here: Parts, action: Action) -> answers.Token:
    """A new session of whoever acts."""
    sid = await insert_session(action.conn, action.actor.id, action.now, here.settings.refresh_life)
    return await continue_session(here, action, sid, None)


async def continue_session(here: Parts, action: Action, sid: str, family: str | None) -> answers.Token:
    """New tokens for the session, of its family of refresh tokens."""
    token, expires_at = here.signer.sign(action.actor.id, sid)
    action.afterwards.append(lambda: here.sessions.remember(sid, False, expires_at))
    return answers.Token(
        token=token,
        userId=action.actor.id,
        username=action.actor.username,
        expires_at=expires_at,
        refresh_token=await insert_refresh_token(action.conn, sid, family, action.now, here.settings.refresh_life),
    )


async def end_session(here: Parts, action: Action, sid: str) -> None:
    """Ends it and says so, once, in the action's transaction; then its tokens open nothing more."""
    if await update_session_ended(action.conn, sid, action.now):
        await action.tell(EventType.LOGOUT, {}, sid=sid)
    until = int(time.time()) + here.settings.token_life
    end = SessionEnd(action.actor.id, sid)
    action.afterwards.append(lambda: here.sessions.tell_ended([end], until))


def with_cookies(here: Parts, token: answers.Token, status: int = 200) -> Response:
    """The token as an answer, and as cookies that scripts cannot read."""
    response = answers.reply(token, status)
    response.headers["Cache-Control"] = "no-store"
    secure, life = here.settings.cookie_secure, here.settings.token_life
    response.set_cookie(
        ACCESS_COOKIE, token.token, life, path=_ACCESS_PATH, secure=secure, httponly=True, samesite="Lax"
    )
    response.set_cookie(
        REFRESH_COOKIE,
        token.refresh_token,
        here.settings.refresh_life,
        path=_REFRESH_PATH,
        secure=secure,
        httponly=True,
        samesite="Strict",
    )
    return response


def without_cookies_of(uid: int, sid: str | None = None) -> Response:
    """204, which also takes both cookies away if they are of the session, or without one of any session of the user.

    A browser has them once, for all its tabs: whoever has signed in since in another tab keeps theirs.
    """
    response = Response(status=204)
    sent = [claims_of(token) for token in request.cookies.getlist(ACCESS_COOKIE)]
    if sent and all(claims.get("uid") == uid and sid in (None, claims.get("sid")) for claims in sent):
        response.delete_cookie(ACCESS_COOKIE, path=_ACCESS_PATH)
        response.delete_cookie(REFRESH_COOKIE, path=_REFRESH_PATH)
    return response


async def select_credentials(conn: Any, username: str) -> tuple[int, str] | None:
    """The user's id and the hash of the password."""
    row = await fetch_one(conn, "SELECT id, password FROM users WHERE username = %s", username)
    return (row[0], row[1]) if row else None


async def _sent_refresh_token() -> str:
    ensure_same_origin()
    raw = await read_raw()
    token = (parse(raw, Refresh).refresh_token if raw.strip() else None) or request.cookies.get(REFRESH_COOKIE)
    if not token:
        raise _refused("refresh-missing", "there is no refresh token in the cookie or the body")
    return token


def _refused(code: str, message: str) -> ApiError:
    return ApiError(401, code, message)
