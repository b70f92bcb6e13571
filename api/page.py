"""The page: static files as the frontend's build leaves them."""

import re
from pathlib import Path

from quart import Blueprint, Quart, Response, send_from_directory
from quart_schema import hide
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter

from api.identity import public
from api.parts import parts

blueprint = Blueprint("page", __name__)

_HASHED = re.compile(r"assets/.+-[A-Za-z0-9_-]{8}\.\w+(\.map)?")
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>stickyfeed</title>
<h1>The page has not been built</h1>
<p>The API is running. Build its page with <code>make up</code>, or by hand with
<code>npm --prefix frontend ci &amp;&amp; npm --prefix frontend run build</code>, and load this again.</p></html>
"""


class OutsideV1(PathConverter):
    """Any path that is not the API's, so that an unknown path below /v1/ is an error in JSON and not a missing file."""

    regex = r"(?!v1(?:/|$))[^/].*?"


def add_page(app: Quart) -> None:
    """Serves the page on / and its files on every path outside /v1/."""
    app.url_map.converters["outside_v1"] = OutsideV1
    app.register_blueprint(blueprint)


@blueprint.get("/")
@public
@hide
async def index() -> Response:
    """The page itself, which a browser asks for anew each time."""
    directory = parts().settings.frontend_dir
    if not (directory / "index.html").is_file():
        return Response(_NOT_BUILT, 503, content_type="text/html; charset=utf-8")
    return await _file(directory, "index.html")


@blueprint.get("/<outside_v1:path>")
@public
@hide
async def file(path: str) -> Response:
    """A file of the page; one with a hash in its name never changes."""
    return await _file(parts().settings.frontend_dir, path)


async def _file(directory: Path, path: str) -> Response:
    if "\x00" in path:
        raise NotFound
    response = await send_from_directory(directory, path)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if _HASHED.fullmatch(path) else "no-cache"
    response.headers.pop("Expires", None)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
