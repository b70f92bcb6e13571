"""Only a request with a good token gets past the edge, on every HAProxy there is."""

import os
import time
from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_hostile import hostile
from tests.integration.edge_system import Edge, binaries, edge, version_of
from tests.integration.edge_tokens import PRIME, RSA_KID, SECRET_KID, Mint, b64, claims_of, dump


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge")) as started:
        yield started


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
    kinds = dict(hostile(running.mint))
    before = sum(node.requests for node in running.nodes.values())

    answers = {name: await running.ask("/v1/me", token=token) for name, token in kinds.items()}
    answers |= {f"{name}, stream": await running.ask("/v1/stream", token=token) for name, token in kinds.items()}

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


async def test_a_token_ends_at_the_second_it_names(running: Edge) -> None:
    token = running.mint.good(exp=int(time.time()) + 2)

    first = await running.ask("/v1/me", token=token)
    while time.time() < int(time.time()) + 1 and (await running.ask("/v1/me", token=token)).status == 200:
        pass

    assert first.status == 200
    assert (await running.ask("/v1/me", token=token)).error == "token-expired"


async def test_random_bytes_for_a_token_are_refused(running: Edge) -> None:
    good = running.mint.good()
    for length in (1, 20, 300, 2000):
        for _ in range(10):
            parts = [b64(os.urandom(length)) for _ in range(3)]
            assert (await running.ask("/v1/me", token=".".join(parts))).error == "token-invalid"
            header = good.split(".")[0]
            assert (await running.ask("/v1/me", token=f"{header}.{parts[1]}.{parts[2]}")).error == "token-invalid"


async def test_a_turned_bit_anywhere_is_noticed(running: Edge) -> None:
    good = running.mint.good().encode()

    for at in range(0, len(good), 7):
        turned = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        answer = await running.send(
            b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + turned + b"\r\n\r\n"
        )
        assert answer.status in (400, 401), (at, turned[at : at + 1])


async def test_a_key_added_counts_at_once_and_a_key_taken_away_stops_counting(running: Edge) -> None:
    mint = running.mint
    header = dump({"alg": "ES256", "typ": "JWT", "kid": "es-00000002"})
    signed = f"{b64(header)}.{b64(dump(claims_of()))}"
    token = f"{signed}.{b64(mint.sign(signed, key=mint.stranger))}"

    before = await running.ask("/v1/me", token=token)
    mint.publish("es-00000002", mint.stranger)
    added = await running.ask("/v1/me", token=token)
    (mint.directory / "es-00000002.pem").unlink()
    await until_refused(running, token)

    assert (before.status, added.status) == (401, 200)
    assert (await running.ask("/v1/me", token=mint.good())).status == 200


async def test_a_kid_never_changes_its_key(running: Edge) -> None:
    mint = running.mint
    header = dump({"alg": "ES256", "typ": "JWT", "kid": "es-00000003"})
    signed = f"{b64(header)}.{b64(dump(claims_of()))}"
    old, new = (f"{signed}.{b64(mint.sign(signed, key=key))}" for key in (mint.stranger, mint.prime))
    mint.publish("es-00000003", mint.stranger)
    assert (await running.ask("/v1/me", token=old)).status == 200

    mint.publish("es-00000003", mint.prime)

    await until_refused(running, old)
    assert (await running.ask("/v1/me", token=new)).status == 401


async def until_refused(running: Edge, token: str) -> None:
    end = time.monotonic() + 10
    while (await running.ask("/v1/me", token=token)).status == 200:
        assert time.monotonic() < end, "the key still counts"


def test_the_kinds_of_broken_tokens_are_named_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("keys") / "public"
    directory.mkdir()
    names = [name for name, _ in hostile(Mint(directory))]

    assert len(names) == len(set(names))
