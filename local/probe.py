"""Goes all the way round once, as a person would: sign up, open the stream, post, see the post arrive, leave."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from local.keys import write_private

_WITHIN = 20.0
_MOST_LEFT = 10  # names that a later round tries; each costs two requests


class ProbeFailed(Exception):
    """The system does not work from end to end; the text says how far the probe came."""


async def go_round(
    address: str, password: str, left: Path, *, transport: httpx.AsyncBaseTransport | None = None
) -> float:
    """Seconds from the post to its arrival on the author's own stream, through the edge both ways. Raises ProbeFailed.

    The author is made for this round and deleted again with the post, so that nobody finds an account here that is no
    person's. The name is one by chance: any other could be somebody's. It stands in the file `left` until it is deleted, so
    that a later round cleans up after one that did not come to its end.
    """
    step = "sign up"
    client = httpx.AsyncClient(base_url=address, trust_env=False, timeout=_WITHIN, transport=transport)
    try:
        async with asyncio.timeout(_WITHIN), client:
            remaining = await _clean_up(client, left, password)
            name = f"probe-{secrets.token_hex(4)}"
            write_private(left, "\n".join([*remaining, name]))
            await _enter(client, "sign-up", {"username": name, "password": password, "passwordConfirm": password})
            step = "open the stream"
            async with client.stream("GET", "/v1/stream") as stream:
                _expect(stream, 200)
                events = _events(stream)
                await _wait_for(events, "hello")
                step = "post"
                began = asyncio.get_running_loop().time()
                text = f"probe {secrets.token_hex(8)}"
                _expect(await client.post("/v1/posts", json={"text": text}), 201)
                step = "see the post on the stream"
                while (await _wait_for(events, "post"))["object"]["text"] != text:
                    pass
                took = asyncio.get_running_loop().time() - began
            step = "delete the account"
            _expect(await client.request("DELETE", "/v1/me", json={"password": password}), 204)
            write_private(left, "\n".join(remaining))
            return took
    except TimeoutError:
        raise ProbeFailed(f"could not {step} within {_WITHIN:.0f} s") from None
    except (httpx.HTTPError, OSError, ProbeFailed, KeyError, ValueError) as error:
        raise ProbeFailed(f"could not {step}: {error or type(error).__name__}") from error


async def _clean_up(client: httpx.AsyncClient, left: Path, password: str) -> list[str]:
    """Deletes the accounts that earlier rounds have left; those that could not be deleted now."""
    remaining = []
    for name in _names(left)[-_MOST_LEFT:]:
        try:
            await _enter(client, "sign-in", {"username": name, "password": password})
            _expect(await client.request("DELETE", "/v1/me", json={"password": password}), 204)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 401:  # which says that there is none
                remaining.append(name)
        except (httpx.HTTPError, ProbeFailed):
            remaining.append(name)
    return remaining


def _names(left: Path) -> list[str]:
    return left.read_text().split() if left.exists() else []


async def _enter(client: httpx.AsyncClient, how: str, body: dict[str, str]) -> None:
    answer = (await client.post(f"/v1/auth/{how}", json=body)).raise_for_status()
    client.cookies.clear()  # the token in the header is what is tried here
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"


async def _events(stream: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """Names and data of the events, as far as the probe needs server-sent events."""
    name = ""
    async for line in stream.aiter_lines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            yield name, line[5:].strip()


async def _wait_for(events: AsyncIterator[tuple[str, str]], wanted: str) -> dict[str, dict[str, str]]:
    async for name, data in events:
        if name == wanted:
            return dict(json.loads(data))
    raise ProbeFailed(f"the stream ended before {wanted!r} came")


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise ProbeFailed(
            f"{answer.request.method} {answer.request.url.path} answers {answer.status_code}, not {status}"
        )
