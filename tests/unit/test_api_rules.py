"""Rules that hold for every route of the API, those not yet written included."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.app import create_app
from api.identity import INSIDE, is_public
from api.parts import open_parts
from api.pool import DatabaseUnavailable
from api.rows import fetch_one
from tests.integration.api_support import Api, Remembering, make_settings

# Whoever adds a route here says why nobody needs a token for it.
PUBLIC = {
    "POST /v1/auth/sign-up", "POST /v1/auth/sign-in", "POST /v1/auth/refresh", "GET /v1/auth/keys", "GET /v1/openapi.json",
    "GET /v1/docs", "GET /", "GET /<outside_v1:path>", "GET /healthz", "GET /readyz", "GET /metrics",
}  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The app with no server at all behind it."""
    settings = make_settings(tmp_path)
    async with open_parts(settings, Remembering(settings)) as parts:
        parts.database.migrated.set()
        yield Api(parts, create_app(parts), Remembering(settings))


def routes(api: Api) -> list[tuple[str, str, str]]:
    """(method, rule, a path that matches it)."""
    found = []
    for rule in api.app.url_map.iter_rules():
        path = (
            rule.rule.replace("<outside_v1:path>", "some.file")
            .replace("<int:user_id>", "7")
            .replace("<int:post_id>", "7")
        )
        found += [(method, rule.rule, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}]
    return found


async def test_the_public_list_is_exactly_the_marked_routes(api: Api) -> None:
    marked = {
        f"{method} {rule.rule}"
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if is_public(api.app.view_functions[rule.endpoint])
    }

    assert marked == PUBLIC


async def test_every_other_route_asks_for_a_token_and_takes_none_from_cookie_or_query(api: Api) -> None:
    token, _ = api.parts.signer.sign(1, "6a7a2f1c-28d5-4b53-a5f1-6a56ed1d3a51")
    asked = [(method, path) for method, rule, path in routes(api) if f"{method} {rule}" not in PUBLIC]
    assert len(asked) >= 10
    for method, path in asked:
        for how in (
            {},
            {"Cookie": f"sf_access={token}"},
            {"Authorization": f"Basic {token}"},
            {"Authorization": "Bearer"},
        ):
            answer = await api.call(method, f"{path}?access_token={token}", headers=how)

            assert (answer.status, answer.body["error"]) == (401, "token-missing"), (method, path, how)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_route_but_health_answers_without_the_edges_secret(api: Api) -> None:
    for method, rule, path in [*routes(api), ("GET", "", "/v1/nothing"), ("PUT", "", "/v1/me")]:
        for secret in (None, "", "wrong", "a-secret-of-the-edgf", "é"):
            api.headers = {} if secret is None else {"X-Edge-Secret": secret}
            answer = await api.call(method, path)

            assert (answer.status == 403) == (path not in INSIDE), (method, rule, secret)


async def test_every_route_under_v1_is_in_the_openapi_document_with_a_summary_and_an_answer(api: Api) -> None:
    document = (await api.call("GET", "/v1/openapi.json")).body
    for method, rule, _ in routes(api):
        if not rule.startswith("/v1/") or rule in ("/v1/openapi.json", "/v1/docs"):
            continue
        path = rule.replace("<int:", "{").replace("<", "{").replace(">", "}")
        operation = document["paths"][path][method.lower()]

        assert operation["summary"].endswith((".", "taken.", "session.")), (method, path)
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)
        assert (operation.get("security") == []) == (f"{method} {rule}" in PUBLIC), (method, path)
        assert "content" not in operation["responses"].get("204", {})


async def test_the_document_can_be_read_as_a_page_that_loads_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.call("GET", "/v1/docs")).body.decode()

    assert "/v1/posts/{post_id}" in page
    assert "<script" not in page
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "https:" not in page


async def test_what_is_not_there_or_not_so_is_an_error_in_json(api: Api) -> None:
    for method, path, status, code in (
        ("GET", "/v1/nothing", 404, "not-found"),
        ("POST", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1", 404, "not-found"),
        ("PUT", "/v1/me", 405, "method-not-allowed"),
        ("POST", "/page", 405, "method-not-allowed"),
        ("GET", "/no.such.file", 404, "not-found"),
        ("GET", "/../pyproject.toml", 404, "not-found"),
        ("GET", "/%2e%2e/pyproject.toml", 404, "not-found"),
        ("GET", "/a%00b", 404, "not-found"),
    ):
        answer = await api.call(method, path)

        assert (answer.status, answer.body["error"]) == (status, code), (method, path)
        assert isinstance(answer.body["message"], str)


async def test_a_fault_of_ours_tells_nothing_of_our_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(api.parts.verifier.keys, "jwks", fail)
    answer = await api.call("GET", "/v1/auth/keys")

    assert (answer.status, answer.body["error"]) == (500, "internal")
    assert "secret" not in str(answer.body)


async def test_with_no_server_at_all_health_and_page_answer_and_the_rest_says_try_again(
    api: Api, tmp_path: Path
) -> None:
    assert (await api.call("GET", "/healthz")).status == 200
    not_built = await api.call("GET", "/")
    assert (not_built.status, b"make up" in not_built.body) == (503, True)
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<!doctype html>")
    (tmp_path / "dist" / "assets" / "index-D8ah_cVP.js").write_text("1")
    page, script = await api.call("GET", "/"), await api.call("GET", "/assets/index-D8ah_cVP.js")
    assert (page.status, page.headers["Cache-Control"]) == (200, "no-cache")
    assert (script.status, "immutable" in script.headers["Cache-Control"]) == (200, True)
    sign_in = await api.call("POST", "/v1/auth/sign-in", {"username": "tester", "password": "1234567890"})
    with pytest.raises(DatabaseUnavailable):  # a running process asks it every second
        await api.parts.database.read_replica(fetch_one, "SELECT 1")

    assert (sign_in.status, sign_in.body["error"], sign_in.headers["Retry-After"]) == (503, "unavailable", "1")
    assert (await api.call("GET", "/readyz")).status == 503
    assert b"stickyfeed_outbox_waiting" in (await api.call("GET", "/metrics")).body


async def test_the_page_comes_compressed_to_whom_takes_it_and_runs_nothing_but_its_own_files(
    api: Api, tmp_path: Path
) -> None:
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    for end, content in (("", "plain"), (".br", "brotli"), (".gz", "gzipped")):
        (assets / f"index-D8ah_cVP.js{end}").write_text(content)
    (assets / "index-_TUP2SXj.css").write_text("never compressed")

    for accepted, encoding, body in (
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip;q=0.8", "gzip", b"gzipped"),
        ("br;q=0", None, b"plain"),
        ("", None, b"plain"),
    ):
        script = await api.call("GET", "/assets/index-D8ah_cVP.js", headers={"Accept-Encoding": accepted})
        assert (script.headers.get("Content-Encoding"), script.body) == (encoding, body), accepted
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert (script.headers["Vary"], "immutable" in script.headers["Cache-Control"]) == ("Accept-Encoding", True)
    style = await api.call("GET", "/assets/index-_TUP2SXj.css", headers={"Accept-Encoding": "br"})
    assert (style.headers.get("Content-Encoding"), style.body) == (None, b"never compressed")
    policy = style.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert (await api.call("GET", "/assets/index-D8ah_cVP.js.br")).status == 404


async def test_the_documents_run_nothing_and_are_styled_by_themselves_alone(api: Api) -> None:
    answer = await api.call("GET", "/v1/docs")
    policy = answer.headers["Content-Security-Policy"]
    (style,) = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)

    assert base64.b64encode(hashlib.sha256(style).digest()).decode() in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "script-src" not in policy
    assert (answer.headers["X-Frame-Options"], answer.headers["Referrer-Policy"]) == ("DENY", "no-referrer")


async def test_a_body_over_64_kb_is_refused_on_every_route_before_anything_else(api: Api) -> None:
    for method, _, path in routes(api):
        if path in INSIDE:
            continue
        answer = await api.call(method, path, headers={"Content-Length": str(64 * 1024 + 1)})

        assert (answer.status, answer.body["error"]) == (413, "body-too-large"), (method, path)


async def test_a_body_that_does_not_say_its_length_is_read_up_to_64_kb(api: Api) -> None:
    just_right = await api.call("POST", "/v1/auth/sign-in", raw=b" " * (64 * 1024))
    too_long = await api.call("POST", "/v1/auth/sign-in", raw=b" " * (64 * 1024 + 1))

    assert (just_right.status, just_right.body["error"]) == (400, "malformed-json")
    assert (too_long.status, too_long.body["error"]) == (413, "body-too-large")


async def test_another_sites_page_cannot_sign_anybody_in_or_use_the_refresh_cookie(api: Api) -> None:
    for path in ("sign-up", "sign-in", "refresh"):
        for origin in ("https://elsewhere.example", "null"):
            answer = await api.call("POST", f"/v1/auth/{path}", {}, headers={"Origin": origin, "Host": "feed.example"})

            assert (answer.status, answer.body["error"]) == (403, "origin")
