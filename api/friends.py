"""Friends: whom one follows."""

from typing import Any

from quart import Blueprint, Response
from quart_schema import document_querystring, document_response

from api import answers
from api.actions import Action
from api.bodies import query_int
from api.errors import ApiError, not_found
from api.identity import who
from api.parts import parts
from api.queries import FriendsAfter
from api.rows import execute, fetch_one
from api.users import select_followed
from store.events import EventType, Person

blueprint = Blueprint("friends", __name__, url_prefix="/v1/friends")

_PAGE, _LARGEST_PAGE = 100, 200
_LARGEST_ID = 2**63 - 1


@blueprint.get("")
@document_querystring(FriendsAfter)
@document_response(answers.Users, 200)
async def following() -> Response:
    """List whom you follow."""
    limit = query_int("limit", _PAGE, 1, _LARGEST_PAGE)
    after = query_int("after", 0, 0, _LARGEST_ID)
    found = await parts().database.read(who().uid, select_followed, who().uid, after, limit + 1)
    more = len(found) > limit
    return answers.reply(answers.Users(items=found[:limit], next=str(found[limit - 1].id) if more else None))


@blueprint.post("/<int:user_id>")
@document_response(answers.Friend, 200)
@document_response(answers.Friend, 201)
async def follow(user_id: int) -> Response:
    """Follow somebody: 201 if that is new, 200 if it was already so; 409 if you follow as many as one may."""
    if user_id == who().uid:
        raise ApiError(400, "self-follow", "nobody can follow themselves")
    async with parts().actions.by(who().uid) as action:
        person = await select_person(action.conn, user_id)
        if person is None:
            raise not_found("user")
        changed = await _turn(action, person, EventType.FOLLOW)
        if changed and await count_followed(action.conn, action.actor.id) > (most := parts().settings.limit_followees):
            message = f"you follow {most} people, which is the most: stop following somebody first"
            raise ApiError(409, "too-many-followees", message)
    return answers.reply(answers.Friend(id=person.id, username=person.username), 201 if changed else 200)


@blueprint.delete("/<int:user_id>")
@document_response(answers.Nothing, 204)
async def unfollow(user_id: int) -> Response:
    """Follow somebody no more; also right if it was not so."""
    async with parts().actions.by(who().uid) as action:
        person = await select_person(action.conn, user_id)
        if person is not None:
            await _turn(action, person, EventType.UNFOLLOW)
    return Response(status=204)


async def _turn(action: Action, person: Person, type: EventType) -> bool:
    """Makes it so and tells it, with the next `seq` of this pair; False if it was so already."""
    on = type is EventType.FOLLOW
    seq, was_on = await select_friend(action.conn, action.actor.id, person.id)
    if was_on == on:
        return False
    await update_friend(action.conn, action.actor.id, person.id, seq + 1, on)
    await action.tell(type, {"id": person.id, "username": person.username, "seq": seq + 1})
    return True


async def select_person(conn: Any, user_id: int) -> Person | None:
    """None if there is nobody with this id."""
    row = await fetch_one(conn, "SELECT id, username FROM users WHERE id = %s", user_id)
    return Person(*row) if row else None


async def select_friend(conn: Any, follower: int, followee: int) -> tuple[int, bool]:
    """The last `seq` of the pair, 0 if there was none yet, and whether it is on. The follower is locked already."""
    row = await fetch_one(
        conn, "SELECT seq, is_on FROM friends WHERE follower = %s AND followee = %s", follower, followee
    )
    return (row[0], bool(row[1])) if row else (0, False)


async def count_followed(conn: Any, follower: int) -> int:
    """How many the follower, who is locked already, follows now."""
    row = await fetch_one(conn, "SELECT COUNT(*) FROM friends WHERE follower = %s AND is_on", follower)
    return row[0] if row else 0


async def update_friend(conn: Any, follower: int, followee: int, seq: int, on: bool) -> None:
    """Writes the pair, for the first time or again."""
    if seq == 1:
        await execute(conn, "INSERT INTO friends VALUES (%s, %s, %s, %s)", follower, followee, seq, on)
    else:
        await execute(
            conn,
            "UPDATE friends SET seq = %s, is_on = %s WHERE follower = %s AND followee = %s",
            seq,
            on,
            follower,
            followee,
        )
