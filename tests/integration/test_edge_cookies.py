"""The cookie is a token of last resort, for streams alone, and for pages from here alone."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_system import Edge, binaries, edge, version_of


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge")) as started:
        yield started


async def test_an_explicit_token_wins_over_the_cookie_good_or_bad(running: Edge) -> None:
    mint = running.mint
    cookie = ("Cookie", f"sf_access={mint.good(1)}")

    good = await running.ask("/v1/stream", cookie, ("Origin", "https://evil.example"), token=mint.good(2))
    bad = await running.ask("/v1/stream?access_token=x", cookie)

    assert good.sent("x-user-id") == ["2"]
    assert bad.error == "token-invalid"


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        (None, "localhost:8080", 200),
        ("http://localhost:8080", "localhost:8080", 200),
        ("http://LocalHost:8080", "localhost:8080", 200),
        ("http://example.com", "example.com", 200),
        ("http://example.com", "example.com:80", 200),
        ("https://example.com", "example.com", 200),
        ("https://example.com", "example.com:443", 200),
        ("http://[::1]:8080", "[::1]:8080", 200),
        ("https://example.com", "example.com:80", 403),
        ("http://evil.example", "example.com", 403),
        ("http://example.com.evil.example", "example.com", 403),
        ("http://example.com:81", "example.com", 403),
        ("http://example.com@evil.example", "example.com", 403),
        ("null", "example.com", 403),
        ("", "example.com", 403),
        ("file://", "example.com", 403),
        ("example.com", "example.com", 403),
        ("http://example.com/", "example.com", 403),
        ("http://example.com http://evil.example", "example.com", 403),
    ],
)
async def test_a_cookie_counts_only_for_pages_from_here(
    running: Edge, origin: str | None, host: str, status: int
) -> None:
    headers = [("Cookie", f"sf_access={running.mint.good()}")] + ([("Origin", origin)] if origin is not None else [])

    answer = await running.ask("/v1/ws", *headers, host=host)

    assert answer.status == status
    assert status == 200 or answer.error == "origin"


async def test_two_origins_are_no_origin(running: Edge) -> None:
    same = ("Origin", "http://localhost")

    answer = await running.ask("/v1/ws", same, same, ("Cookie", f"sf_access={running.mint.good()}"))

    assert answer.error == "origin"


@pytest.mark.parametrize(
    "cookie", ["sf_access=", "sf_access", "xsf_access={t}", "sf_accessx={t}", "a=sf_access={t}", ""]
)
async def test_a_cookie_that_is_not_ours_is_none(running: Edge, cookie: str) -> None:
    answer = await running.ask("/v1/stream", ("Cookie", cookie.format(t=running.mint.good())))

    assert answer.error == "token-missing"


async def test_an_empty_explicit_token_is_invalid_and_not_missing(running: Edge) -> None:
    cookie = ("Cookie", f"sf_access={running.mint.good()}")

    for target in ("/v1/stream?access_token=", "/v1/stream?access_token"):
        assert (await running.ask(target, cookie)).error == "token-invalid"
