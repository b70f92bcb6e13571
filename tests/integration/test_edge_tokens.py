"""Only a request with a good token gets past the edge, on every HAProxy there is."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.edge_hostile import hostile
from tests.integration.edge_system import Edge, binaries, edge, version_of
from tests.integration.edge_tokens import PRIME, RSA_KID, SECRET_KID, Mint, b64, claims_of, dump

CASES = [(binary, cache) for binary in binaries() for cache in ("0", "20000")]
_CLOCK = 0.2
_LATE = 1.0  # HAProxy looks at the clock once a turn of its loop, and a busy machine may set it aside then


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{version_of(case[0])}, cache {case[1]}")
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    binary, cache = request.param
    async with edge(binary, tmp_path_factory.mktemp("edge"), settings={"TOKEN_CACHE": cache}) as started:
        yield started


async def warm(running: Edge, *tokens: str) -> None:
    """The edge has let each of them in, twice: its cache, if it has one, holds them."""
    for token in tokens * 2:
        assert (await running.ask("/v1/me", token=token)).status == 200


@pytest.mark.parametrize(("alg", "kid"), [("ES256", PRIME), ("RS256", RSA_KID), ("HS256", SECRET_KID)])
async def test_a_good_token_brings_its_claims_to_the_node(running: Edge, alg: str, kid: str) -> None:
    exp = int(time.time()) + 60

    answer = await running.ask("/v1/me", token=running.mint.good(41, alg=alg, kid=kid, exp=exp, sid=SID, nbf=exp - 90))

    assert answer.status == 200
    assert answer.sent("x-user-id") == ["41"]
    assert answer.sent("x-session-id") == [SID]
    assert answer.sent("x-token-exp") == [str(exp)]


SID = "0191a9d0-0000-7000-8000-000000000001"


async def test_the_largest_uid_passes_as_it_is(running: Edge) -> None:
    answer = await running.ask("/v1/me", token=running.mint.good(2**53 - 1))

    assert answer.sent("x-user-id") == ["9007199254740991"]


async def test_claims_we_do_not_know_are_no_fault(running: Edge) -> None:
    answer = await running.ask("/v1/me", token=running.mint.good(5, jti="a", scope=["x", {"y": 1.5e3}], name='é😀"\\'))

    assert answer.sent("x-user-id") == ["5"]


async def test_every_broken_token_is_refused_on_both_kinds_of_path(running: Edge) -> None:
    good = running.mint.good()
    kinds = dict(hostile(running.mint, good))
    await warm(running, good)
    before = sum(node.requests for node in running.nodes.values())

    answers = {name: await running.ask("/v1/me", token=token) for name, token in kinds.items()}
    answers |= {f"{name}, stream": await running.ask("/v1/stream", token=token) for name, token in kinds.items()}
    answers |= {f"{name}, again": await running.ask("/v1/me", token=token) for name, token in kinds.items()}

    passed = {name: (answer.status, answer.body[:60]) for name, answer in answers.items() if answer.status != 401}
    assert passed == {}
    assert {answer.error for answer in answers.values()} == {"token-invalid"}
    assert {answer.header("www-authenticate") for answer in answers.values()} == {"Bearer"}
    assert sum(node.requests for node in running.nodes.values()) == before
    assert len(kinds) > 130


async def test_an_expired_token_is_said_to_be_expired_only_when_it_was_ours(running: Edge) -> None:
    late = running.mint.good(exp=int(time.time()) - 1)
    forged = late[:-8] + "AAAAAAAA"

    assert (await running.ask("/v1/me", token=late)).error == "token-expired"
    assert (await running.ask("/v1/me", token=forged)).error == "token-invalid"


async def test_random_bytes_for_a_token_are_refused(running: Edge) -> None:
    good = running.mint.good()
    await warm(running, good)
    for length in (1, 20, 300, 2000):
        for _ in range(10):
            parts = [b64(os.urandom(length)) for _ in range(3)]
            assert (await running.ask("/v1/me", token=".".join(parts))).error == "token-invalid"
            header = good.split(".")[0]
            assert (await running.ask("/v1/me", token=f"{header}.{parts[1]}.{parts[2]}")).error == "token-invalid"


async def test_a_turned_bit_anywhere_is_noticed(running: Edge) -> None:
    token = running.mint.good()
    await warm(running, token)
    good = token.encode()

    for at in range(0, len(good), 7):
        turned = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        answer = await running.send(
            b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + turned + b"\r\n\r\n"
        )
        assert answer.status in (400, 401), (at, turned[at : at + 1])


def signed_by(mint: Mint, kid: str, key: ec.EllipticCurvePrivateKey, **claims: object) -> str:
    signed = f"{b64(dump({'alg': 'ES256', 'typ': 'JWT', 'kid': kid}))}.{b64(dump(claims_of() | claims))}"
    return f"{signed}.{b64(mint.sign(signed, key=key))}"


async def test_a_key_added_counts_at_once_and_a_key_taken_away_stops_counting(running: Edge) -> None:
    mint = running.mint
    token = signed_by(mint, "es-00000002", mint.stranger)

    before = await running.ask("/v1/me", token=token)
    mint.publish("es-00000002", mint.stranger)
    added = await running.ask("/v1/me", token=token)
    await warm(running, token)
    (mint.directory / "es-00000002.pem").unlink()
    listed = await running.command("token-keys")
    gone = await running.ask("/v1/me", token=token)
    mint.publish("es-00000002", mint.stranger)
    back = await running.ask("/v1/me", token=token)

    assert (before.status, added.status, gone.status, back.status) == (401, 200, 401, 200)
    assert gone.error == "token-invalid"
    assert f"{PRIME} ES256\n" in listed
    assert "es-00000002" not in listed
    assert (await running.ask("/v1/me", token=mint.good())).status == 200


async def test_a_kid_never_changes_its_key(running: Edge) -> None:
    mint = running.mint
    old, new = (signed_by(mint, "es-00000003", key) for key in (mint.stranger, mint.prime))
    mint.publish("es-00000003", mint.stranger)
    await warm(running, old)

    mint.publish("es-00000003", mint.prime)
    await running.command("token-keys")

    assert [(await running.ask("/v1/me", token=token)).status for token in (old, new)] == [401, 401]


async def test_a_token_counts_from_the_second_of_its_nbf_to_that_of_its_exp(running: Edge) -> None:
    """Asked all the time, so that a cache has it. The clock cannot be turned back here: what the cache does then is a claim of
    tests/unit/lua. Each answer was decided on between `asked` and `answered`, however slow the machine is."""
    now = int(time.time())
    nbf, exp = now + 2, now + 4
    token = running.mint.good(8, nbf=nbf, exp=exp)
    seen: list[tuple[float, float, str]] = []  # asked, answered, and what

    async with asyncio.timeout(30):
        while not seen or seen[-1][2] != "token-expired":
            asked = time.time()
            answer = await running.ask("/v1/me", token=token)
            seen.append((asked, time.time(), "passed" if answer.status == 200 else answer.error))

    order = [what for (_, _, what), (_, _, before) in zip(seen, [(0, 0, ""), *seen], strict=False) if what != before]
    assert order == ["token-invalid", "passed", "token-expired"]
    passed = [(asked, answered) for asked, answered, what in seen if what == "passed"]
    early = [asked for asked, _, what in seen if what == "token-invalid"]
    assert passed[0][1] >= nbf - _CLOCK
    assert early[-1] < nbf + _LATE
    assert passed[-1][0] < exp + _LATE
    assert seen[-1][1] >= exp - _CLOCK


async def test_a_storm_of_reconnects_is_answered_from_the_cache(running: Edge) -> None:
    token = running.mint.good(9)

    await warm(running, token)
    before = counted(await running.command("token-keys"))
    for _ in range(20):
        await warm(running, token)
    after = counted(await running.command("token-keys"))

    expected = (0, 40) if before[0] == 0 else (40, 0)
    assert (after[0] - before[0], after[1] - before[1]) == expected


def counted(said: str) -> tuple[int, int]:
    """Hits and misses."""
    match = re.search(r"(\d+) hits, (\d+) misses", said)
    assert match
    return int(match[1]), int(match[2])


def test_the_kinds_of_broken_tokens_are_named_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("keys") / "public"
    directory.mkdir()
    mint = Mint(directory)
    names = [name for name, _ in hostile(mint, mint.good())]

    assert len(names) == len(set(names))
