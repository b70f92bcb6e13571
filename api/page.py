"""The page: static files as the frontend's build leaves them, compressed or not, and what a browser may do with them."""

import mimetypes
import re
from pathlib import Path

from quart import Blueprint, Quart, Response, request, send_from_directory
from quart_schema import hide
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter

from api.identity import public
from api.parts import parts

blueprint = Blueprint("page", __name__)

_HASHED = re.compile(r"assets/.+-[A-Za-z0-9_-]{8}\.\w+(\.map)?")
_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # the build has made them; the first one that the browser takes
HEADERS = {
    # Scripts, styles and pictures of our own and nothing else, nothing inline, in nobody's frame. Only Svelte's
    # templates may become HTML.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types svelte-trusted-html",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
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
    if "\x00" in path or path.endswith(tuple(_ENCODINGS.values())):
        raise NotFound
    # No file is longer than one page view needs. Ranges may be ignored (RFC 9110, 14.2); Quart fails at some of them.
    for name in ("Range", "If-Range"):
        request.headers.pop(name, None)
    encoding = _encoding(directory, path)
    response = await send_from_directory(directory, path + _ENCODINGS.get(encoding, ""))
    if encoding:
        response.content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        response.headers["Content-Encoding"] = encoding
    response.headers["Accept-Ranges"] = "none"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if _HASHED.fullmatch(path) else "no-cache"
    response.headers.pop("Expires", None)
    response.headers.update(HEADERS)
    return response


def _encoding(directory: Path, path: str) -> str:
    """The encoding that the browser takes and the build has made; empty for none."""
    if ".." in path:
        return ""
    accepted = request.accept_encodings
    return next(
        (name for name, end in _ENCODINGS.items() if accepted.quality(name) and (directory / f"{path}{end}").is_file()),
        "",
    )
