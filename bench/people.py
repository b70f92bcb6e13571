"""People for a bench: real accounts, made through the edge, whose tokens and ids are all that is kept of them."""

import asyncio
import time
from dataclasses import dataclass
from uuid import uuid4

import httpx

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can act."""

    id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def sign_up(client: httpx.AsyncClient, count: int) -> list[Account]:
    """So many new accounts. Stops with the remedy if the edge limits sign-ups from one address."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one() -> Account:
        name = f"b-{uuid4().hex[:12]}"
        async with gate:
            answer = await client.post(
                "/v1/auth/sign-up", json={"username": name, "password": name, "passwordConfirm": name}
            )
        if answer.status_code == 429:
            raise SystemExit("the edge limits sign-ups from one address: start the system with `LIMITS=bench make up`")
        answer.raise_for_status()
        body = answer.json()
        return Account(body["userId"], body["token"])

    began = time.monotonic()
    accounts = await asyncio.gather(*(one() for _ in range(count)))
    print(f"  {count} accounts in {time.monotonic() - began:.1f} s")
    return list(accounts)


async def follow(client: httpx.AsyncClient, pairs: list[tuple[Account, Account]]) -> None:
    """Each first one follows each second one."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(follower: Account, followee: Account) -> None:
        async with gate:
            (await client.post(f"/v1/friends/{followee.id}", headers=follower.headers)).raise_for_status()

    began = time.monotonic()
    await asyncio.gather(*(one(*pair) for pair in pairs))
    print(f"  {len(pairs)} follows in {time.monotonic() - began:.1f} s")
