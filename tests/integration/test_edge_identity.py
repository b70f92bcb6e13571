"""Nobody outside can say who they are, whatever they put into a request."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_system import SECRET, Edge, binaries, edge, version_of


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge")) as started:
        yield started


FORGED = [
    ("X-User-Id", "1"),
    ("x-user-id", "1"),
    ("X_User_Id", "1"),
    ("X-Session-Id", "forged"),
    ("X-Token-Exp", "9999999999"),
    ("X-Edge-Secret", "forged"),
    ("X-EDGE-SECRET", SECRET),
    ("X_Edge_Secret", "forged"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "forged"),
    ("X-Forwarded-Proto", "https"),
    ("X-Real-IP", "10.0.0.1"),
    ("Forwarded", "for=10.0.0.1"),
]


@pytest.mark.parametrize("header", FORGED, ids=lambda header: header[0])
@pytest.mark.parametrize("target", ["/", "/v1/auth/keys", "/v1/me", "/v1/stream"])
async def test_nobody_outside_can_say_who_they_are(running: Edge, target: str, header: tuple[str, str]) -> None:
    token = running.mint.good(7) if target in ("/v1/me", "/v1/stream") else None

    answer = await running.ask(target, header, header, token=token)

    assert answer.sent("x-user-id") == (["7"] if token else [])
    assert len(answer.sent("x-session-id")) == len(answer.sent("x-token-exp")) == (1 if token else 0)
    assert answer.sent("x-edge-secret") == [SECRET]
    assert answer.sent("x-forwarded-for") == ["127.0.0.1"]
    assert answer.sent("x-forwarded-proto") == ["http"]
    for name in ("x_user_id", "x_edge_secret", "x-forwarded-host", "x-real-ip", "forwarded"):
        assert answer.sent(name) == []


async def test_connection_cannot_take_our_headers_away(running: Edge) -> None:
    answer = await running.ask("/v1/me", ("Connection", "X-User-Id, X-Edge-Secret"), token=running.mint.good())

    assert answer.sent("connection") in ([], ["keep-alive"])
    assert answer.sent("x-user-id") == ["7"]


@pytest.mark.parametrize("protocol", ["h2c", "H2C", "h2c, websocket", "websocket, h2c", "websocket"])
@pytest.mark.parametrize("target", ["/", "/v1/auth/keys", "/v1/me", "/v1/stream/explain", "/v1/stream", "/v1/ws"])
@pytest.mark.parametrize("connection", [None, "Upgrade, HTTP2-Settings"])
async def test_no_request_becomes_a_tunnel_past_the_rules(
    running: Edge, connection: str | None, target: str, protocol: str
) -> None:
    if connection and target == "/v1/ws" and "websocket" in protocol:
        pytest.skip("that is a WebSocket: tests of streams")
    headers = [("Upgrade", protocol), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")]
    headers += [("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]  # HAProxy itself refuses a WebSocket without it
    headers += [("Connection", connection)] if connection else []
    token = running.mint.good() if target.startswith("/v1/") and target != "/v1/auth/keys" else None

    answer = await running.ask(target, *headers, token=token)

    assert answer.status == 200
    assert answer.sent("upgrade") == answer.sent("http2-settings") == []
    assert answer.sent("connection") in ([], ["keep-alive"])
    assert sum(node.tunnels for node in running.nodes.values()) == 0


async def test_what_comes_behind_a_body_is_no_header(running: Edge) -> None:
    token = running.mint.good()
    head = f"POST /v1/posts HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    chunked = "Transfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n2\r\n{}\r\n0\r\n"

    answer = await running.send(f"{head}{chunked}X-User-Id: 1\r\nX-Edge-Secret: forged\r\n\r\n".encode())

    assert (answer.status, answer.sent("x-user-id"), answer.sent("x-edge-secret")) == (200, ["7"], [SECRET])


async def test_two_requests_on_one_connection_share_nothing(running: Edge) -> None:
    first = f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.mint.good()}\r\n\r\n"
    second = "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-User-Id: 7\r\nConnection: close\r\n\r\n"

    answer = await running.send((first + second).encode())

    assert answer.status == 200
    assert b"HTTP/1.1 401" in answer.body


async def test_a_body_hidden_behind_another_is_refused(running: Edge) -> None:
    smuggled = b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-User-Id: 1\r\n\r\n"
    head = b"POST /v1/auth/sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunk = b"0\r\n\r\n"

    answers = [
        await running.send(head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + chunk + smuggled),
        await running.send(head + b"Transfer-Encoding: xchunked\r\n\r\n" + chunk + smuggled),
        await running.send(head + b"Content-Length: -1\r\n\r\n" + chunk + smuggled),
    ]

    assert {answer.status for answer in answers} <= {0, 400}


async def test_a_key_taken_away_stops_counting_by_itself_within_seconds(running: Edge) -> None:
    mint = running.mint
    token = mint.good(alg="HS256", kid="hs-00000005")
    mint.directory.joinpath("hs-00000005.hs256").write_bytes(mint.secret)
    before = (await running.ask("/v1/me", token=token)).status

    mint.directory.joinpath("hs-00000005.hs256").unlink()
    async with asyncio.timeout(10):
        while (await running.ask("/v1/me", token=token)).status == 200:
            await asyncio.sleep(0.05)

    assert before == 200
