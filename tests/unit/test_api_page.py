"""The page's files, whatever a request says in the headers that a library reads by itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import Response

from api.app import create_app
from api.parts import open_parts
from store.app import App
from tests.integration.api_support import Api, Remembering, make_settings

WHOLE = b"0123456789"
FILES = ("/", "/icon.svg", "/assets/index-D8ah_cVP.js")
STATIC = (*FILES, "/none.svg", "/v1/docs", "/v1/openapi.json")
RANGES = (
    "bytes=0-4", "bytes=-5", "bytes=-0", "bytes=5-", "bytes=10-", "bytes=4-2", "bytes=0-0,5-6", "bytes=-5,-3", "bytes=a-b",
    "bytes=", "bytes", "=", "", "lines=0-4", "bytes=--5", "bytes=0-99999999999999999999999", "bytes=-99999999999999999999999",
    "bytes=\u00b2-\u00b3", "bytes=0-" + ",0-" * 2_000,
)  # fmt: skip
DATES = (
    "Sat, 28 Nov 2026 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sat, 28 Nov 99999 00:00:00 GMT",
    "Sat, 99 Nov 2026 99:99:99 GMT", "Sat, 28 Nov 2026 00:00:00 +9999", "Sat, 28 Nov 2026 00:00:00 -99999999", "0", "-1", "now", "",
)  # fmt: skip
TAGS = ("*", '"a"', 'W/"a"', '"', '"a', "a", '"a", ', ',,,"b"', '"\u00e9"', '"' + "a" * 8_000 + '"', '"a",' * 2_000, "")
WEIGHTS = (
    "gzip;q=0",
    "gzip;q=nan",
    "br;q=1e999",
    "*;q=-1",
    "gzip;q=",
    ";q=1",
    "gzip;" * 2_000,
    "\u00e9",
    "br;q=1;q=0",
    "*",
    "",
)
HOSTILE = {
    "Range": RANGES, "If-Range": (*DATES, *TAGS), "If-Modified-Since": DATES, "If-Unmodified-Since": DATES, "If-Match": TAGS,
    "If-None-Match": TAGS, "Accept": WEIGHTS, "Accept-Encoding": WEIGHTS, "Accept-Language": WEIGHTS, "Accept-Charset": WEIGHTS,
    "Cookie": ("=", ";", "a", 'a="', "a=\u00e9", "sf_access=" + "a" * 8_000, "a=b;" * 2_000),
    "Date": DATES, "Max-Forwards": ("-1", "a"),
    "Cache-Control": ("max-age=a", "max-age=-1", "=", "no-cache=\"", ""),
    "Content-Type": ("", ";", "a/b;charset=\u00e9", "a/b;charset=nonsense"),
    "Content-Length": ("0",), "Authorization": ("", "Basic", "Basic \u00e9", "Digest a=", "Bearer"), "Referer": ("\u00e9", ""),
    "User-Agent": ("", "\u00e9" * 8_000), "Host": ("", "a:b", "[", "[::1", "\u00e9", "a" * 8_000, "a:99999999"),
    "X-Forwarded-For": ("", ",", "a"), "Origin": ("null", "://", "[", "\u00e9"),
    "TE": ("trailers", ";"), "Expect": ("100-continue", "a"),
}  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The app with no server at all behind it, and a page."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    for path in ("index.html", *FILES[1:]):
        for end in ("", ".br", ".gz"):
            (dist / f"{path.lstrip('/')}{end}").write_bytes(WHOLE)
    settings = make_settings(tmp_path)
    async with open_parts(settings, Remembering(settings)) as parts:
        parts.database.migrated.set()
        yield Api(parts, create_app(parts), Remembering(settings))


@pytest.mark.parametrize("path", FILES)
async def test_a_range_is_ignored_as_http_allows_and_said_to_be(api: Api, path: str) -> None:
    for value in RANGES:
        for more in ({}, {"If-Range": '"a"'}, {"Accept-Encoding": "br"}):
            answer = await api.call("GET", path, headers={"Range": value, **more})

            assert (answer.status, answer.body, answer.headers["Accept-Ranges"]) == (200, WHOLE, "none"), (value, more)
            assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("header", HOSTILE)
async def test_no_header_that_a_library_reads_makes_a_static_route_fail(api: Api, header: str) -> None:
    for path in STATIC:
        for value in HOSTILE[header]:
            answer = await api.call("GET", path, headers={header: value})

            assert answer.status < 500, (path, header, value[:80])


async def test_a_page_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    first = await api.call("GET", "/icon.svg")

    for again in ({"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}):
        assert (await api.call("GET", "/icon.svg", headers={**again, "Range": "bytes=0-4"})).status == 304


async def test_a_query_of_any_bytes_makes_no_route_fail() -> None:
    """Hypercorn hands on what has come."""
    app, sent = App(__name__), list[dict[str, object]]()
    app.get("/")(lambda: Response("fine"))
    scope: dict[str, object] = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/", "root_path": "",
        "query_string": b"\xff=\xfe", "headers": [(b"host", b"\xff." + b"a" * 70)], "client": None,
        "server": None, "extensions": {},
    }  # fmt: skip

    said: list[dict[str, object]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        return said.pop() if said else await asyncio.Future()

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]

    assert sent[0]["status"] == 200
