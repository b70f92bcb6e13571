"""Posts: write one, take one back."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator
from quart import Blueprint, Response
from quart_schema import document_headers, document_request, document_response

from api import answers
from api.bodies import Body, read_body
from api.errors import not_found
from api.identity import who
from api.parts import parts
from api.post_keys import Made, PostHeaders, insert_made, select_made, sent_key
from api.rows import execute
from store.events import EventType

blueprint = Blueprint("posts", __name__, url_prefix="/v1/posts")

LONGEST = 1000


def _post_text(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= LONGEST:
        raise ValueError(f"must have 1 to {LONGEST} characters, not counting space around it")
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in text):
        raise ValueError("may hold no control characters but line breaks and tabs")
    return text


class NewPost(Body):
    """1 to 1000 characters; space around it is taken away."""

    text: Annotated[str, AfterValidator(_post_text)]


@blueprint.post("")
@document_headers(PostHeaders)
@document_request(NewPost)
@document_response(answers.Post, 201)
async def write() -> Response:
    """Write a post. With an Idempotency-Key it may be sent again and again, and there is one post and one answer."""
    key, body = sent_key(), await read_body(NewPost)
    async with parts().actions.by(who().uid) as action:
        made = key and await select_made(action.conn, action.actor.id, key, body.text)
        if not made:
            post_id = await insert_post(action.conn, action.actor.id, body.text, action.now)
            event = await action.tell(EventType.POST, {"id": post_id, "text": body.text})
            made = Made(post_id, event.id, action.now)
            if key:
                await insert_made(action.conn, action.actor.id, key, body.text, made)
    at = answers.instant(made.at)
    return answers.reply(answers.Post(id=made.post, text=body.text, at=at, event_id=made.event_id), 201)


@blueprint.delete("/<int:post_id>")
@document_response(answers.Nothing, 204)
async def delete(post_id: int) -> Response:
    """Take back a post of yours."""
    async with parts().actions.by(who().uid) as action:
        if not await delete_post(action.conn, post_id, action.actor.id):
            raise not_found("post")
        await action.tell(EventType.POST_DELETED, {"id": post_id})
    return Response(status=204)


async def insert_post(conn: Any, author: int, text: str, now: datetime) -> int:
    """The id of the new post."""
    _, post_id = await execute(
        conn, "INSERT INTO posts (author, text, created_at) VALUES (%s, %s, %s)", author, text, now
    )
    return post_id


async def delete_post(conn: Any, post_id: int, author: int) -> bool:
    """Whether there was such a post of this author."""
    changed, _ = await execute(conn, "DELETE FROM posts WHERE id = %s AND author = %s", post_id, author)
    return changed == 1
