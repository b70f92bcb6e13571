"""Users: find people, and look at one."""

from typing import Any

from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_response

from api import answers
from api.bodies import query_int
from api.errors import not_found
from api.identity import who
from api.parts import parts
from api.queries import Search
from api.rows import fetch_all, fetch_one

blueprint = Blueprint("users", __name__, url_prefix="/v1/users")

_PAGE, _LARGEST_PAGE = 50, 200


@blueprint.get("")
@document_querystring(Search)
@document_response(answers.Users, 200)
async def search() -> Response:
    """Find people whose names begin with `query`, by name; everybody without it."""
    limit = query_int("limit", _PAGE, 1, _LARGEST_PAGE)
    prefix, after = request.args.get("query", ""), request.args.get("after", "")
    if not (prefix + after).isascii():
        return answers.reply(answers.Users(items=[], next=None))  # nobody has such a name
    found = await parts().database.read(who().uid, select_users, prefix, after, limit + 1)
    return answers.reply(
        answers.Users(items=found[:limit], next=found[limit - 1].username if len(found) > limit else None)
    )


@blueprint.get("/<int:user_id>")
@document_response(answers.User, 200)
async def one(user_id: int) -> Response:
    """Look at one person."""
    user = await parts().database.read(who().uid, select_user, user_id)
    if user is None:
        raise not_found("user")
    return answers.reply(user)


_COLUMNS = "u.id, u.username, u.gender, u.created_at"


async def select_user(conn: Any, user_id: int) -> answers.User | None:
    """None if there is nobody with this id."""
    row = await fetch_one(conn, f"SELECT {_COLUMNS} FROM users u WHERE u.id = %s", user_id)  # noqa: S608
    return _user(row) if row else None


async def select_users(conn: Any, prefix: str, after: str, limit: int) -> list[answers.User]:
    """People whose names begin with `prefix` and come after `after`, by name."""
    pattern = prefix.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    rows = await fetch_all(
        conn,
        f"SELECT {_COLUMNS} FROM users u WHERE u.username LIKE %s AND u.username > %s"  # noqa: S608
        " ORDER BY u.username LIMIT %s",
        pattern,
        after,
        limit,
    )
    return [_user(row) for row in rows]


async def select_followed(conn: Any, follower: int, after: int, limit: int) -> list[answers.User]:
    """Whom the user follows, by id."""
    rows = await fetch_all(
        conn,
        f"SELECT {_COLUMNS} FROM friends f JOIN users u ON u.id = f.followee"  # noqa: S608
        " WHERE f.follower = %s AND f.followee > %s AND f.is_on ORDER BY f.followee LIMIT %s",
        follower,
        after,
        limit,
    )
    return [_user(row) for row in rows]


def _user(row: tuple[Any, ...]) -> answers.User:
    return answers.User(id=row[0], username=row[1], gender=row[2], created_at=answers.instant(row[3]))
