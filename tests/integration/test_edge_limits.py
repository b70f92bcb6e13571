"""What the edge bounds, what it tells its operator, and what it never tells anybody."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.integration.edge_answer import Answer, lines_of
from tests.integration.edge_system import PROJECT, SECRET, Edge, binaries, edge, has_wire, version_of

LIMIT, SECONDS = 8, 2


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    settings = dict.fromkeys(("LIMIT_SIGN_IN", "LIMIT_WRITES"), str(LIMIT))
    settings["LIMIT_REQUEST_SECONDS"] = str(SECONDS)
    async with edge(request.param, directory, settings=settings) as started:
        yield started


async def test_the_log_is_json_and_holds_no_token_secret_or_query(running: Edge) -> None:
    mint, good = running.mint, running.mint.good(4711)
    bad = good[:-6] + "AAAAAA"
    for token in (good, bad):
        await running.ask("/v1/me", token=token)
        await running.ask(f"/v1/me?access_token={token}&password=hunter2")
        await running.ask(f"/v1/stream?access_token={token}")
        await running.ask(f"/v1/{token}/x", ("Referer", f"http://x/?access_token={token}"), token=token)
        await running.ask(f"/v1//{token}")
        for escaped in (
            f"%65{token[1:]}",
            token.replace(".", "%2e"),
            f"%2565{token[1:]}",
            hexed(token),
            f"x{token[2:]}",
        ):
            await running.ask(f"/v1/{escaped}")
        await running.ask("/v1/stream", ("Cookie", f"sf_access={token}"))
        await running.ask("/v1/ws", ("Sec-WebSocket-Protocol", f"feed.v1, bearer.{token}"))
        await running.send(f"GET /v1/me?access_token={token} HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n".encode())
        await running.send(f"GARBAGE {token}\r\n\r\n".encode())
    await running.ask('/v1/"quote"\\', method="GET")

    log = running.logged()
    requests = list(lines_of(log))

    for token in (good, bad):
        read = unquote(unquote(log))
        assert not any(part[:20] in read for part in token.split("."))
    assert "hunter2" not in log
    assert SECRET not in log
    assert mint.secret.decode() not in log
    assert "access_token" not in log
    seen = next(line for line in requests if line["uid"] == "4711" and line["path"] == "/v1/me")
    assert (seen["status"], seen["node"], seen["method"], seen["client"]) == (200, "api-1", "GET", "127.0.0.1")
    assert isinstance(seen["at"], float)
    assert {"signature", "token-missing"} <= {line["reason"] for line in requests}


def hexed(text: str) -> str:
    """Every character as an escape."""
    return "".join(f"%{ord(character):02x}" for character in text)


async def test_a_body_over_64_kilobytes_is_refused_and_one_under_passes(running: Edge) -> None:
    token = running.mint.good()

    fits = await running.ask("/v1/posts", method="POST", token=token, body=b"x" * 65536)
    over = await running.ask("/v1/posts", method="POST", token=token, body=b"x" * 65537)
    public = await running.ask("/v1/auth/refresh", method="POST", body=b"x" * 65537)

    assert (fits.status, len(fits.json["body"])) == (200, 65536)
    assert (over.status, over.error) == (413, "body-too-large")
    assert public.status in (0, 413)


async def test_one_address_signs_in_so_often_and_no_oftener(running: Edge) -> None:
    async def sign(action: str) -> int:
        return (await running.ask(f"/v1/auth/{action}", method="POST", body=b"{}")).status

    statuses = [await sign("sign-in" if number % 2 else "sign-up") for number in range(LIMIT)]
    refused = await running.ask("/v1/auth/sign-in", method="POST", body=b"{}")

    assert statuses == [200] * LIMIT
    assert (refused.status, refused.error, refused.header("retry-after")) == (429, "too-many-requests", "10")
    assert await sign("refresh") == 200
    assert (await running.ask("/v1/me", token=running.mint.good())).status == 200
    assert (await running.ask("/v1/me", method="DELETE", token=running.mint.good(), body=b"{}")).status == 429


# Whoever adds a route that writes adds it here: `test_every_route_that_writes_is_counted`.
WRITES = (
    ("POST", "/v1/posts"),
    ("DELETE", "/v1/posts/7"),
    ("POST", "/v1/friends/7"),
    ("DELETE", "/v1/friends/7"),
)


async def test_one_user_writes_so_often_whatever_it_is_and_no_oftener_and_others_go_on(running: Edge) -> None:
    def write(uid: int, method: str, path: str) -> Awaitable[Answer]:
        return running.ask(path, method=method, token=running.mint.good(uid), body=b"{}")

    statuses = [(await write(11, *WRITES[number % len(WRITES)])).status for number in range(LIMIT)]
    refused = [await write(11, *one) for one in WRITES]
    others = [await write(12, *one) for one in WRITES]
    read = [(await running.ask(path, token=running.mint.good(11))).status for path in ("/v1/friends", "/v1/feed")]

    assert statuses == [200] * LIMIT
    assert {(one.status, one.error, one.header("retry-after")) for one in refused} == {(429, "too-many-requests", "60")}
    assert {one.header("content-type") for one in refused} == {"application/json"}
    assert ([one.status for one in others], read) == ([200] * len(WRITES), [200, 200])


@pytest.mark.parametrize(("uid", "one"), list(enumerate(WRITES, 20)), ids=str)
async def test_every_write_counts(running: Edge, uid: int, one: tuple[str, str]) -> None:
    method, path = one
    statuses = [
        (await running.ask(path, method=method, token=running.mint.good(uid), body=b"{}")).status
        for _ in range(LIMIT + 1)
    ]

    assert statuses == [200] * LIMIT + [429]


async def test_whoever_may_write_no_more_may_still_leave(running: Edge) -> None:
    token = running.mint.good(13)
    for _ in range(LIMIT + 1):
        refused = await running.ask("/v1/posts", method="POST", token=token, body=b"{}")

    async with asyncio.timeout(60):  # tests before this one may have used up what an address may
        while (left := await running.ask("/v1/me", method="DELETE", token=token, body=b"{}")).status == 429:
            assert left.header("retry-after") == "10", "by its address"
            await asyncio.sleep(2)
    assert (refused.status, left.status) == (429, 200)


def test_every_route_that_writes_is_counted() -> None:
    """Found in the code, so that none can be forgotten. Public ones have limits of their own; nobody is kept from leaving."""
    blueprints = {"posts": "/v1/posts", "friends": "/v1/friends", "sessions": "/v1/auth", "users": "/v1/users"}
    written = set()
    for file in (PROJECT / "api").glob("*.py"):
        for method, path in re.findall(r'@blueprint\.(post|put|patch|delete)\("([^"]*)"\)', file.read_text()):
            whole = blueprints.get(file.stem, "") + re.sub(r"<int:\w+>", "7", path)
            written.add((method.upper(), whole))
    without_token = {("POST", f"/v1/auth/{path}") for path in ("sign-up", "sign-in", "refresh")}
    own = without_token | {("POST", "/v1/auth/sign-out"), ("DELETE", "/v1/me")}

    assert written - own == set(WRITES)


async def test_a_header_that_is_too_long_is_refused(running: Edge) -> None:
    answer = await running.ask("/v1/me", ("X-Filler", "x" * 20_000), token=running.mint.good())

    assert answer.status in (0, 400, 431)


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
async def test_a_limit_ends_with_its_window(binary: str, tmp_path: Path) -> None:
    limits = {
        f"LIMIT_{what}{part}": value for what in ("SIGN_IN", "WRITES") for part, value in (("", "2"), ("_WINDOW", "1"))
    }
    async with edge(binary, tmp_path, stream=0, settings=limits) as running:
        for target in ("/v1/auth/sign-in", "/v1/posts"):
            token = running.mint.good() if target == "/v1/posts" else None

            async def post(target: str = target, token: str | None = token) -> int:
                return (await running.ask(target, method="POST", token=token, body=b"{}")).status

            async with asyncio.timeout(10):
                while await post() != 429:
                    pass
                # What is refused counts too: who keeps trying that often is kept out.
                while await post() != 200:
                    await asyncio.sleep(0.8)


@pytest.mark.parametrize(
    "begun",
    [
        "GET /v1/me HTTP/1.1\r\nX-Slow: ",
        "POST /v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    ],
    ids=["header", "body"],
)
async def test_a_request_that_comes_byte_by_byte_is_cut(running: Edge, begun: str) -> None:
    before = running.nodes["api-1"].requests
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(begun.encode())
    ended = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    async with asyncio.timeout(4 * SECONDS):
        while not ended.done():
            writer.write(b"a")
            await asyncio.wait({ended}, timeout=0.1)
    writer.close()

    assert b" 408 " in ended.result()
    assert running.nodes["api-1"].requests == before


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
async def test_one_address_has_so_many_connections_and_twice_as_many_are_not_answered(
    binary: str, tmp_path: Path
) -> None:
    async with edge(binary, tmp_path, settings={"LIMIT_CONNECTIONS": "5"}) as running:
        open_ones = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(5)]
        over, stream = await running.ask("/"), await running.ask("/v1/stream")
        async with asyncio.timeout(20):
            while (far_over := await status(running)) != 0:
                assert len(open_ones) < 20
                with suppress(ConnectionError):  # the count of those that have just left may still be in it
                    open_ones.append(await asyncio.open_connection("127.0.0.1", running.port))
        reached = len(open_ones)
        for _, writer in open_ones:
            writer.close()
        async with asyncio.timeout(5):
            while await status(running) != 200:
                await asyncio.sleep(0.05)

    assert (over.status, over.error, over.header("retry-after")) == (429, "too-many-requests", "5")
    assert (stream.status, stream.header("content-type")) == (200, "text/event-stream")
    assert re.fullmatch(rb"retry: [2-6]\d{3}\n\n", stream.body), "an EventSource comes back from nothing else"
    assert far_over == 0
    assert reached >= 2 * 5, "those up to twice the limit are told why"


async def status(running: Edge) -> int:
    """0 where nobody answers."""
    try:
        return (await running.ask("/")).status
    except ConnectionError:
        return 0


async def test_statistics_are_on_a_port_of_their_own(running: Edge) -> None:
    page = await running.ask("/stats", port=running.stats)
    metrics = await running.ask("/metrics", port=running.stats)

    assert (page.status, b"stream-1" in page.body) == (200, True)
    assert b"haproxy_server_status" in metrics.body
    assert (await running.ask("/", port=running.stats)).status == 404
    assert (await running.ask("/stats")).json["node"] == "api-1"
    assert (await running.ask("/metrics")).status == 404


async def test_the_admin_socket_is_for_its_owner_alone(running: Edge) -> None:
    assert running.socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "EDGE_SECRET"), ({"EDGE_SECRET": ""}, "EDGE_SECRET"), ({"EDGE_SECRET": "short"}, "EDGE_SECRET")],
)
def test_an_edge_without_its_secret_does_not_start(binary: str, settings: dict[str, str], said: str) -> None:
    tried = subprocess.run(
        [binary, "-c", "-f", "haproxy/haproxy.cfg"],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin"} | settings,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert tried.returncode != 0
    assert said in tried.stdout + tried.stderr


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
def test_the_configuration_is_valid_without_a_warning(binary: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    for more in (
        {"API_1": "127.0.0.1:1", "STREAM_1": "127.0.0.1:2"},
        {"API_1": "127.0.0.1:1", "STREAM_1": "127.0.0.1:2", "STREAM_WIRE_1": "127.0.0.1:3"},
        {"API_DNS": "api:8101", "STREAM_DNS": "stream:8201"},
        {"API_DNS": "api:8101", "STREAM_DNS": "stream:8201", "STREAM_WIRE_DNS": "stream:8202"},
    ):
        tried = subprocess.run(
            [binary, "-c", "-f", "haproxy/haproxy.cfg"],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", "EDGE_SECRET": SECRET} | more,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

        assert tried.returncode == 0, tried.stderr
        assert "WARNING" not in tried.stderr


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
@pytest.mark.parametrize(
    ("settings", "door"),
    [
        ({"STREAM_1": "127.0.0.1:1", "STREAM_WIRE_1": "127.0.0.1:2"}, "wire"),
        ({"STREAM_1": "127.0.0.1:1"}, "plain"),
        ({"STREAM_1": "127.0.0.1:1", "STREAM_WIRE_1": "127.0.0.1:2", "STREAM_8": "127.0.0.1:3"}, "plain"),
        ({"STREAM_1": "127.0.0.1:1", "STREAM_WIRE_1": "127.0.0.1:2", "STREAM_DOOR": "plain"}, "plain"),
        ({"STREAM_DNS": "stream:8201", "STREAM_WIRE_DNS": "stream:8202"}, "wire"),
        ({"STREAM_DNS": "stream:8201"}, "plain"),
        ({"STREAM_DOOR": "window"}, None),
    ],
)
def test_the_edge_says_at_its_start_which_door_streams_are_opened_at(
    binary: str, settings: dict[str, str], door: str | None
) -> None:
    tried = subprocess.run(
        [binary, "-c", "-f", "haproxy/haproxy.cfg"],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "EDGE_SECRET": SECRET} | settings,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    said = tried.stdout + tried.stderr

    if door is None:
        assert tried.returncode != 0
        assert "STREAM_DOOR is window" in said
    else:
        assert tried.returncode == 0
        assert f"at the nodes' {door if has_wire(binary) else 'plain'} door" in said
