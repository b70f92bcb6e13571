"""The probe of `make up`, against an API made by hand."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.probe import ProbeFailed, go_round


class Api(httpx.AsyncBaseTransport):
    """Accounts by name, and one stream. `refuses` has the paths that are answered 503."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.refuses: set[str] = set()
        self.posted = asyncio.Queue[str]()
        self.made: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread() or b"{}")
        who = request.headers.get("Authorization", "").removeprefix("Bearer ")
        path = request.url.path
        if path in self.refuses:
            return httpx.Response(503, request=request)
        if path == "/v1/auth/sign-up":
            if body["username"] in self.accounts:
                return httpx.Response(409, request=request)
            self.accounts[body["username"]] = body["password"]
            self.made.append(body["username"])
        elif path == "/v1/auth/sign-in" and self.accounts.get(body["username"]) != body["password"]:
            return httpx.Response(401, request=request)
        if path.startswith("/v1/auth/"):
            return httpx.Response(200, json={"token": body["username"]}, request=request)
        if path == "/v1/stream":
            return httpx.Response(200, content=self._stream(), request=request)
        if path == "/v1/posts":
            self.posted.put_nowait(body["text"])
            return httpx.Response(201, request=request)
        del self.accounts[who]
        return httpx.Response(204, request=request)

    async def _stream(self) -> AsyncIterator[bytes]:
        yield b"event: hello\ndata: {}\n\n"
        text = await self.posted.get()
        yield f"event: post\ndata: {json.dumps({'object': {'text': text}})}\n\n".encode()


async def round_of(api: Api, left: Path) -> float:
    return await go_round("http://edge", "a password", left, transport=api)


async def test_whoever_has_the_name_probe_is_in_nobodys_way(tmp_path: Path) -> None:
    api = Api()
    api.accounts["probe"] = "a stranger's"

    for _ in range(2):
        await round_of(api, tmp_path / "left")

    assert api.accounts == {"probe": "a stranger's"}
    assert len(set(api.made)) == 2
    assert all(re.fullmatch(r"probe-[0-9a-f]{8}", name) for name in api.made)


async def test_a_round_that_did_not_come_to_its_end_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    api = Api()
    api.refuses = {"/v1/posts"}
    with pytest.raises(ProbeFailed, match="could not post"):
        await round_of(api, tmp_path / "left")
    assert list(api.accounts) == api.made

    api.refuses = set()
    await round_of(api, tmp_path / "left")

    assert api.accounts == {}


async def test_what_cannot_be_cleaned_up_fails_no_round_and_is_tried_again(tmp_path: Path) -> None:
    api = Api()
    (tmp_path / "left").write_text("probe-00000000")
    api.accounts["probe-00000000"] = "a password"
    api.refuses = {"/v1/auth/sign-in"}
    await round_of(api, tmp_path / "left")
    assert list(api.accounts) == ["probe-00000000"]

    api.refuses = set()
    await round_of(api, tmp_path / "left")

    assert (api.accounts, (tmp_path / "left").read_text()) == ({}, "")


async def test_an_account_that_was_never_made_is_not_looked_for_again(tmp_path: Path) -> None:
    (tmp_path / "left").write_text("probe-00000000")

    await round_of(Api(), tmp_path / "left")

    assert (tmp_path / "left").read_text() == ""
