"""TLS, h2 over it, and WebSocket over that (RFC 8441)."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.certificate import certificate
from tests.integration.edge_answer import Answer, parse
from tests.integration.edge_system import SECRET, Edge, binaries, edge, free_port, version_of
from tests.unit.wire_client import WireClient

_WITHIN = 10


@dataclass
class Tls:
    """An edge with a second door."""

    edge: Edge
    port: int
    certificate: Path

    def context(self, *alpn: str) -> ssl.SSLContext:
        """Of a client that trusts this certificate alone."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tls]:
    directory = tmp_path_factory.mktemp("edge")
    pem, port = certificate(directory / "edge.pem"), free_port()
    settings = {"EDGE_TLS_BIND": f"127.0.0.1:{port}", "EDGE_TLS_CERT": str(pem)}
    async with edge(request.param, directory, settings=settings) as running:
        yield Tls(running, port, pem)


async def test_over_tls_nodes_hear_of_it_and_browsers_are_told_to_stay(tls: Tls) -> None:
    reader, writer = await asyncio.open_connection("localhost", tls.port, ssl=tls.context("http/1.1"))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    over = parse(await asyncio.wait_for(reader.read(), _WITHIN))
    plain = await tls.edge.ask("/")

    assert over.header("strict-transport-security") == "max-age=31536000"
    assert plain.header("strict-transport-security") is None
    assert (over.sent("x-forwarded-proto"), plain.sent("x-forwarded-proto")) == (["https"], ["http"])
    assert over.header("x-content-type-options") == plain.header("x-content-type-options") == "nosniff"


async def test_what_is_older_than_tls_1_2_is_refused(tls: Tls) -> None:
    old = tls.context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", tls.port, ssl=old)


@asynccontextmanager
async def h2_connection(tls: Tls) -> AsyncIterator[tuple[WireClient, Callable[[Callable[[], bool]], Awaitable[None]]]]:
    """A client, and a way to wait until something has come to it."""
    reader, writer = await asyncio.open_connection("localhost", tls.port, ssl=tls.context("h2"))
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    client = WireClient()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_WITHIN):
            while True:
                writer.write(client.take_out())
                if condition():
                    return
                received = await reader.read(65536)
                assert received, "closed"
                client.feed(received)

    try:
        yield client, until
    finally:
        writer.close()


def get(target: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", target), *more]


async def test_many_streams_share_a_connection_and_each_brings_its_own_token(tls: Tls) -> None:
    tokens = {uid: tls.edge.mint.good(uid) for uid in range(1, 31)}

    async with h2_connection(tls) as (client, until):
        asked = {
            client.request(get("/v1/stream", ("authorization", f"Bearer {token}"))): uid
            for uid, token in tokens.items()
        }
        nobody = client.request(get("/v1/stream", ("x-user-id", "1")))
        await until(lambda: len(client.ended) == 31)

    said = {uid: client.received[sid].lower() for sid, uid in asked.items()}
    assert all(f'"x-user-id: {uid}"'.encode() in text for uid, text in said.items())
    assert client.headers[nobody][b":status"] == b"401"


@pytest.mark.parametrize("target", ["/v1/me", "/v1/stream"])
async def test_nobody_says_who_they_are_over_h2_either(tls: Tls, target: str) -> None:
    forged = (
        "x-user-id",
        "x_user_id",
        "x-session-id",
        "x-token-exp",
        "x-edge-secret",
        "x-forwarded-for",
        "x-forwarded-proto",
    )
    mine = ("authorization", f"Bearer {tls.edge.mint.good(7)}")

    async with h2_connection(tls) as (client, until):
        sid = client.request(get(target, mine, *((name, "1") for name in (*forged, *forged))))
        await until(lambda: sid in client.ended)
    answer = Answer(int(client.headers[sid][b":status"]), [], client.received[sid])

    assert answer.status == 200
    assert (answer.sent("x-user-id"), answer.sent("x-edge-secret")) == (["7"], [SECRET])
    assert len(answer.sent("x-session-id")) == len(answer.sent("x-token-exp")) == 1
    assert "1" not in (*answer.sent("x-session-id"), *answer.sent("x-token-exp"), *answer.sent("x_user_id"))
    assert (answer.sent("x-forwarded-for"), answer.sent("x-forwarded-proto")) == (["127.0.0.1"], ["https"])


async def test_a_websocket_opens_over_h2_and_its_token_is_checked(tls: Tls) -> None:
    token = tls.edge.mint.good(99)
    websocket = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "localhost")]
    path, version = (":path", "/v1/ws?cursor=c"), ("sec-websocket-version", "13")

    async with h2_connection(tls) as (client, until):
        await until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)
        good = client.request(
            [*websocket, path, version, ("sec-websocket-protocol", f"feed.v1, bearer.{token}")], end=False
        )
        bad = client.request([*websocket, path, version, ("sec-websocket-protocol", "feed.v1")], end=False)
        await until(lambda: bool(client.received[good]) and bad in client.headers)

    assert (client.headers[good][b":status"], client.headers[bad][b":status"]) == (b"200", b"401")
    assert client.headers[good][b"sec-websocket-protocol"] == b"feed.v1"
    assert b"GET /v1/ws?cursor=c HTTP/1.1" in client.received[good]
    assert token.split(".")[2].encode() not in client.received[good]
