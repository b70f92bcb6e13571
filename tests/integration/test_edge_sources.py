"""A token comes from one place, and goes no further than the edge on its way to a stream node."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_system import Edge, binaries, edge, version_of

STREAMS = ["/v1/stream", "/v1/ws", "/v1/stream/explain"]


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge")) as started:
        yield started


@pytest.fixture(params=STREAMS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def places(path: str, token: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    return {
        "authorization": (path, [("Authorization", f"Bearer {token}")]),
        "query": (f"{path}?access_token={token}", []),
        "subprotocol": (path, [("Sec-WebSocket-Protocol", f"feed.v1, bearer.{token}")]),
        "cookie": (path, [("Cookie", f"theme=dark; sf_access={token}")]),
    }


@pytest.mark.parametrize("place", ["authorization", "query", "subprotocol", "cookie"])
async def test_a_stream_takes_the_token_from_any_one_place_and_the_node_sees_none(
    running: Edge, path: str, place: str
) -> None:
    token = running.mint.good(12)
    target, headers = places(path, token)[place]

    answer = await running.ask(target, *headers, ("Last-Event-ID", "abc"))

    assert answer.status == 200
    assert answer.sent("x-user-id") == ["12"]
    assert answer.sent("last-event-id") == ["abc"]
    assert answer.sent("authorization") == answer.sent("cookie") == []
    assert answer.sent("sec-websocket-protocol") == (["feed.v1"] if place == "subprotocol" else [])
    for part in token.split("."):
        assert part.encode() not in answer.body


@pytest.mark.parametrize("place", ["query", "subprotocol", "cookie"])
async def test_the_api_takes_it_from_authorization_alone(running: Edge, place: str) -> None:
    target, headers = places("/v1/me", running.mint.good())[place]

    assert (await running.ask(target, *headers)).error == "token-missing"


async def test_the_api_gets_authorization_as_it_came(running: Edge) -> None:
    token = running.mint.good()

    answer = await running.ask("/v1/feed?limit=3&before=x", ("Cookie", "a=b"), token=token)

    assert answer.sent("authorization") == [f"Bearer {token}"]
    assert answer.sent("cookie") == ["a=b"]
    assert answer.json["line"] == "GET /v1/feed?limit=3&before=x HTTP/1.1"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("access_token={t}", ""),
        ("access_token={t}&cursor=a", "?cursor=a"),
        ("cursor=a&access_token={t}", "?cursor=a"),
        ("cursor=a%26access_token=x&access_token={t}&b=%3D+1&c", "?cursor=a%26access_token=x&b=%3D+1&c"),
        ("access%5Ftoken={t}&cursor=a", "?cursor=a"),
        ("%61ccess_token={t}", ""),
        ("&&access_token={t}&", ""),
        ("Access_Token=other&access_token={t}", "?Access_Token=other"),
        ("xaccess_token=other&access_token={t}", "?xaccess_token=other"),
    ],
)
async def test_what_else_the_query_says_stays_as_it_is(running: Edge, query: str, left: str) -> None:
    answer = await running.ask("/v1/stream?" + query.format(t=running.mint.good()))

    assert answer.json["line"] == f"GET /v1/stream{left} HTTP/1.1"


@pytest.mark.parametrize(
    "lines",
    [["feed.v1,bearer.{t}"], ["bearer.{t}, feed.v1"], ["feed.v1", "bearer.{t}"], [" , bearer.{t} ,, feed.v1 "]],
)
async def test_the_other_subprotocols_stay(running: Edge, lines: list[str]) -> None:
    token = running.mint.good()

    answer = await running.ask("/v1/ws", *(("Sec-WebSocket-Protocol", line.format(t=token)) for line in lines))

    assert answer.sent("sec-websocket-protocol") == ["feed.v1"]


async def test_a_token_offered_alone_leaves_no_subprotocol(running: Edge) -> None:
    answer = await running.ask("/v1/ws", ("Sec-WebSocket-Protocol", f"bearer.{running.mint.good()}"))

    assert answer.status == 200
    assert answer.sent("sec-websocket-protocol") == []


async def test_two_explicit_tokens_are_ambiguous_even_when_they_are_the_same(running: Edge, path: str) -> None:
    token = running.mint.good()
    explicit = [value for name, value in places(path, token).items() if name != "cookie"]

    for target, headers in explicit:
        for other, more in explicit:
            if (target, headers) != (other, more):
                joined = target if "?" in target else other
                answer = await running.ask(joined, *headers, *more)
                assert (answer.status, answer.error) == (400, "token-ambiguous")


@pytest.mark.parametrize("target", ["/v1/me", "/v1/stream"])
async def test_two_authorization_headers_are_ambiguous(running: Edge, target: str) -> None:
    good = ("Authorization", f"Bearer {running.mint.good()}")

    for other in (good, ("authorization", "Bearer x"), ("Authorization", "Basic eDp5"), ("AUTHORIZATION", "")):
        for pair in ((good, other), (other, good)):
            answer = await running.ask(target, *pair)
            assert (answer.status, answer.error) == (400, "token-ambiguous")


async def test_two_of_a_kind_are_ambiguous(running: Edge) -> None:
    token = running.mint.good()
    doubles = [
        (f"/v1/stream?access_token={token}&access_token={token}", []),
        (f"/v1/stream?access_token={token}&access%5ftoken=x", []),
        ("/v1/ws", [("Sec-WebSocket-Protocol", f"bearer.{token}, bearer.x")]),
        ("/v1/ws", [("Sec-WebSocket-Protocol", f"bearer.{token}"), ("Sec-WebSocket-Protocol", "bearer.")]),
        ("/v1/stream", [("Cookie", f"sf_access={token}; sf_access=x")]),
        ("/v1/stream", [("Cookie", f"sf_access={token}"), ("Cookie", f"sf_access={token}")]),
    ]

    for target, headers in doubles:
        answer = await running.ask(target, *headers)
        assert (answer.status, answer.error) == (400, "token-ambiguous"), (target, headers)


async def test_a_header_may_not_hold_two_tokens(running: Edge) -> None:
    token = running.mint.good()

    for value in (f"Bearer {token}, Bearer {token}", f"Bearer {token} {token}", f"{token}", f"Token {token}", "Bearer"):
        assert (await running.ask("/v1/me", ("Authorization", value))).error == "token-invalid"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_the_scheme_has_no_case(running: Edge, scheme: str) -> None:
    answer = await running.ask("/v1/me", ("Authorization", f"{scheme} {running.mint.good()}"))

    assert answer.status == 200
