"""Goes all the way round once, as a person would: sign up, open the stream, post, see the post arrive, leave."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import httpx

_WITHIN = 20.0
_NAME = "probe"


class ProbeFailed(Exception):
    """The system does not work from end to end; the text says how far the probe came."""


async def go_round(address: str, password: str) -> float:
    """Seconds from the post to its arrival on the author's own stream, through the edge both ways. Raises ProbeFailed.

    The author is the user `probe`, made with this password for this round and deleted again with the post, so that
    nobody finds an account here that is no person's.
    """
    step = "sign in"
    try:
        async with (
            asyncio.timeout(_WITHIN),
            httpx.AsyncClient(base_url=address, trust_env=False, timeout=_WITHIN) as client,
        ):
            client.headers["Authorization"] = f"Bearer {await _sign_in(client, password)}"
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
            return took
    except TimeoutError:
        raise ProbeFailed(f"could not {step} within {_WITHIN:.0f} s") from None
    except (httpx.HTTPError, ProbeFailed, KeyError, ValueError) as error:
        raise ProbeFailed(f"could not {step}: {error or type(error).__name__}") from error


async def _sign_in(client: httpx.AsyncClient, password: str) -> str:
    """The token of `probe`, who is signed up unless a round before did not come to its end."""
    answer = await client.post("/v1/auth/sign-in", json={"username": _NAME, "password": password})
    if answer.status_code == 401:
        body = {"username": _NAME, "password": password, "passwordConfirm": password}
        answer = await client.post("/v1/auth/sign-up", json=body)
    answer.raise_for_status()
    client.cookies.clear()  # the token in the header is what is tried here
    return str(answer.json()["token"])


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
