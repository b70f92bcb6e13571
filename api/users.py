"""Users: find people, look at one, and read what one has written."""

from typing import Any

from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_response

from api import answers
from api.bodies import query_int
from api.errors import not_found
from api.identity import who
from api.parts import parts
from api.queries import PostsBefore, Search
from api.rows import fetch_all, fetch_one

blueprint = Blueprint("users", __name__, url_prefix="/v1/users")

_PAGE, _LARGEST_PAGE = 50, 200
_POSTS, _MOST_POSTS = 20, 100
_LARGEST_ID = 2**63 - 1
_COUNTED = 10_000  # followers; more are as dear to count as they are many


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
@document_response(answers.Profile, 200)
async def one(user_id: int) -> Response:
    """Look at one person."""
    profile = await parts().database.read(who().uid, select_profile, user_id)
    if profile is None:
        raise not_found("user")
    return answers.reply(profile)


@blueprint.get("/<int:user_id>/posts")
@document_querystring(PostsBefore)
@document_response(answers.Posts, 200)
async def posts(user_id: int) -> Response:
    """Read what one person has written, newest first."""
    limit = query_int("limit", _POSTS, 1, _MOST_POSTS)
    before = query_int("before", _LARGEST_ID, 0, _LARGEST_ID)
    found = await parts().database.read(who().uid, select_posts, user_id, before, limit + 1)
    if found is None:
        raise not_found("user")
    more = len(found) > limit
    return answers.reply(answers.Posts(items=found[:limit], next=str(found[limit - 1].id) if more else None))


_COLUMNS = "u.id, u.username, u.gender, u.created_at"


async def select_user(conn: Any, user_id: int) -> answers.User | None:
    """None if there is nobody with this id."""
    row = await fetch_one(conn, f"SELECT {_COLUMNS} FROM users u WHERE u.id = %s", user_id)  # noqa: S608
    return _user(row) if row else None


async def select_profile(conn: Any, user_id: int) -> answers.Profile | None:
    """None if there is nobody with this id. Both counts are read from an index, and no further than is shown."""
    user = await select_user(conn, user_id)
    if user is None:
        return None
    counts = []
    for whose in ("followee", "follower"):
        one = f"SELECT 1 FROM friends WHERE {whose} = %s AND is_on LIMIT %s"  # noqa: S608
        row = await fetch_one(conn, f"SELECT COUNT(*) FROM ({one}) one", user_id, _COUNTED + 1)  # noqa: S608
        counts.append(row[0] if row else 0)
    return answers.Profile(**user.model_dump(), followers=counts[0], following=counts[1])


async def select_posts(conn: Any, author: int, before: int, limit: int) -> list[answers.Written] | None:
    """The author's newest posts with ids below `before`; None if there is nobody with this id."""
    if await select_user(conn, author) is None:
        return None  # what a deleted account wrote may lie about for a while
    rows = await fetch_all(
        conn,
        "SELECT id, text, created_at FROM posts WHERE author = %s AND id < %s ORDER BY id DESC LIMIT %s",
        author,
        before,
        limit,
    )
    return [answers.Written(id=row[0], text=row[1], at=answers.instant(row[2])) for row in rows]


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
