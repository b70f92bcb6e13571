"""From commit to the reader: posts at a steady rate through the edge, and when each arrives at each of its readers."""

import asyncio
import random
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from bench.people import Account, follow, sign_up
from bench.readers import Reader, Tally


@dataclass(frozen=True, slots=True)
class Plan:
    """`followed` of the authors are followed by each reader, chosen at random."""

    address: str
    readers: int
    authors: int
    followed: int
    rate: float
    seconds: float


async def run(plan: Plan) -> None:
    """Prints the delays' quantiles, what arrived and what should have."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=plan.address, timeout=30, limits=limits, trust_env=False) as client:
        print(f"{plan.readers} readers, each following {plan.followed} of {plan.authors} authors")
        print(f"{plan.rate:g} posts/s for {plan.seconds:g} s")
        authors, readers = await sign_up(client, plan.authors), await sign_up(client, plan.readers)
        pairs = [(reader, author) for reader in readers for author in random.sample(authors, plan.followed)]
        await follow(client, pairs)
        followers = {author.id: sum(1 for _, followed in pairs if followed is author) for author in authors}
        tally = await _open(plan, readers)
        expected = await _post(plan, client, authors, followers)
        await asyncio.sleep(2)
    _report(tally, expected)


async def _open(plan: Plan, readers: list[Account]) -> Tally:
    tally, url = Tally(), urlsplit(plan.address)
    loop = asyncio.get_running_loop()
    for reader in readers:
        await loop.create_connection(
            lambda reader=reader: Reader("/v1/stream", url.netloc, reader.token, tally),  # type: ignore[misc]
            url.hostname or "localhost",
            url.port or 80,
        )
    async with asyncio.timeout(60):
        while tally.live < len(readers):
            await asyncio.sleep(0.05)
    print(f"  {tally.live} streams live")
    await asyncio.sleep(1)
    tally.delays.clear()
    return tally


async def _post(plan: Plan, client: httpx.AsyncClient, authors: list[Account], followers: dict[int, int]) -> int:
    """Posts at the rate, whatever the answers take; returns how many deliveries that asks for."""
    expected, answers = 0, []
    began = time.monotonic()
    for number in range(int(plan.rate * plan.seconds)):
        author = random.choice(authors)
        expected += followers[author.id]
        answers.append(
            asyncio.create_task(client.post("/v1/posts", json={"text": f"post {number}"}, headers=author.headers))
        )
        await asyncio.sleep(max(0.0, began + (number + 1) / plan.rate - time.monotonic()))
    refused = sum(1 for answer in await asyncio.gather(*answers) if answer.status_code != 201)
    print(f"  {len(answers)} posts in {time.monotonic() - began:.1f} s, {refused} refused")
    return expected


def _report(tally: Tally, expected: int) -> None:
    delays = sorted(tally.delays)
    if not delays:
        print("  nothing arrived")
        return
    p50, p99, p999 = (delays[min(len(delays) - 1, int(len(delays) * q))] * 1000 for q in (0.5, 0.99, 0.999))
    print(f"  deliveries: {len(delays)} of {expected} expected; connections lost: {tally.lost_connections}")
    print(f"  commit to reader, ms: p50 {p50:.1f}  p99 {p99:.1f}  p99.9 {p999:.1f}  max {delays[-1] * 1000:.1f}")
