"""Which requests need a token, and where each goes."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_system import Edge, binaries, edge, version_of


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge")) as started:
        yield started


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/auth/sign-up"),
        ("POST", "/v1/auth/sign-in"),
        ("POST", "/v1/auth/refresh"),
        ("GET", "/v1/auth/keys"),
        ("HEAD", "/v1/auth/keys"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/docs"),
        ("GET", "/v1/docs/oauth2-redirect"),
        ("GET", "/"),
        ("HEAD", "/index.html"),
        ("GET", "/assets/feed-1a2b.js?v=1"),
    ],
)
async def test_the_public_list_needs_no_token(running: Edge, method: str, target: str) -> None:
    answer = await running.ask(target, method=method)

    assert answer.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/me",
        "/v1/",
        "/v1/feed",
        "/v1/posts",
        "/v1/friends/1",
        "/v1/users",
        "/v1/auth/sign-out",
        "/v1/auth/",
        "/v1/auth/sign-in/",
        "/v1/auth/keys/",
        "/v1/auth/sign-in@x",
        "/v1/docsx",
        "/v1/openapi.json/x",
        "/v1/ws/",
        "/v1/streams",
    ],
)
async def test_everything_else_under_v1_does(running: Edge, method: str, path: str) -> None:
    answer = await running.ask(path, method=method)

    assert answer.status == 401
    if method != "HEAD":
        assert answer.error == "token-missing"


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/index.html", "GET, HEAD"),
        ("OPTIONS", "/index.html", "GET, HEAD"),
        ("GET", "/v1/auth/sign-in", "POST"),
        ("OPTIONS", "/v1/auth/sign-in", "POST"),
        ("PUT", "/v1/auth/refresh", "POST"),
        ("POST", "/v1/auth/keys", "GET, HEAD"),
        ("DELETE", "/v1/docs/x", "GET, HEAD"),
        ("POST", "/v1/stream", "GET"),
        ("HEAD", "/v1/stream", "GET"),
        ("HEAD", "/v1/ws", "GET"),
        ("OPTIONS", "/v1/stream/explain", "GET"),
        ("TRACE", "/v1/me", None),
        ("BREW", "/", None),
    ],
)
async def test_a_method_that_means_nothing_there_is_405(
    running: Edge, method: str, target: str, allowed: str | None
) -> None:
    answer = await running.ask(target, method=method, token=running.mint.good())

    assert answer.status == 405
    assert allowed is None or answer.header("allow") == allowed
    assert answer.header("content-type") == "application/json"
    if method != "HEAD":
        assert answer.error == "method-not-allowed"


ODD = [
    "/v1//stream",
    "//v1/stream",
    "//v1/me",
    "/./v1/me",
    "/x/../v1/me",
    "/v1/%73tream",
    "/%761/stream",
    "/%761/me",
    "/V1/stream",
    "/V1/me",
    "/v1/stream/../feed",
    "/v1/stream/%2e%2e/feed",
    "/v1/docs/../me",
    "/v1/docs/%2e%2e/me",
    "/v1/docs/..;/me",
    "/v1/docs/..",
    "/v1/auth/keys/../../me",
    "/v1/docs/..%2fme",
    "/v1/docs%2f..%2fme",
    "/v1/stream;x=1",
    "/v1;/stream",
    "/v1/auth/sign-in;x",
    "/v1\\stream",
    "/\\v1/me",
    "/v1/stream%00",
    "/v1/stream%20",
    "/v1%2fstream",
    "/v1/stream%3fx",
    "/v1/ws/./x",
    "/v1",
    "/v1x/me",
    "/v1.json",
    "/v1/m\xe9",
    "/v1/stream#x",
    "/v1*",
    "/healthz",
    "/readyz",
    "/metrics",
    "/.env",
    "/.git/config",
    "v1/me",
    "*",
    "",
]


@pytest.mark.parametrize("target", ODD)
async def test_an_odd_path_reaches_no_node(running: Edge, target: str) -> None:
    before = {name: node.requests for name, node in running.nodes.items()}

    answers = [
        await running.ask(target, method=method, token=token)
        for method in ("GET", "POST")
        for token in (None, running.mint.good())
    ]

    assert {answer.status for answer in answers} <= {400, 404, 405}
    assert {name: node.requests for name, node in running.nodes.items()} == before


@pytest.mark.parametrize(
    "target", ["http://localhost/v1/me", "http://evil.example/v1/me?x=1", "https://localhost/v1/stream"]
)
async def test_an_absolute_target_is_judged_by_its_path_and_sent_on_without_the_rest(
    running: Edge, target: str
) -> None:
    path = target[target.index("/v1") :]

    with_token = await running.ask(target, token=running.mint.good(), host=target.split("/")[2])

    assert (await running.ask(target, host=target.split("/")[2])).status == 401
    assert with_token.json["line"] == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize(
    "target",
    [
        "http:///v1/me",
        "http://localhost//v1/me",
        "http://localhost/v1/docs/../me",
        "localhost:80/v1/me",
        "http://localhost",
    ],
)
async def test_an_absolute_target_cannot_be_odd_either(running: Edge, target: str) -> None:
    answer = await running.ask(target)

    assert answer.status in (400, 401) or answer.json["line"] == "GET / HTTP/1.1"


async def test_a_request_goes_where_its_path_says(running: Edge) -> None:
    token = running.mint.good()
    streams = ("/v1/stream", "/v1/ws", "/v1/stream/explain", "/v1/stream/", "/v1/stream?cursor=/v1/me")
    others = ("/v1/me", "/v1/streams", "/v1/ws/", "/", "/v1/feed?x=/v1/stream")

    went = {target: (await running.ask(target, token=token)).json["node"].split("-")[0] for target in streams + others}

    assert went == dict.fromkeys(streams, "stream") | dict.fromkeys(others, "api")
