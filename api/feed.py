"""The feed, page by page."""

import json

from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_response

from api import answers
from api.bodies import query_int
from api.identity import who
from api.parts import parts
from api.queries import FeedBefore

blueprint = Blueprint("feed", __name__, url_prefix="/v1/feed")

_PAGE, _LARGEST_PAGE = 50, 100


@blueprint.get("")
@document_querystring(FeedBefore)
@document_response(answers.FeedPage, 200)
async def page() -> Response:
    """Read what you and those whom you follow have done, newest first."""
    limit = query_int("limit", _PAGE, 1, _LARGEST_PAGE)
    found = await parts().feed.page(who().uid, request.args.get("before"), limit)
    # Events are delivered as they were written, byte for byte.
    body = b'{"items":[%b],"next":%b,"cursor":%b}' % (
        b",".join(found.items),
        json.dumps(found.next).encode(),
        json.dumps(found.cursor).encode(),
    )
    return Response(body, content_type="application/json")
