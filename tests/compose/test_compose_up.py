"""The system as `docker compose up --build` starts it: the story, a broker killed, nodes added and stopped, and the data kept.

The tests stand in their order: the last one takes everything down and up again.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.compose.conftest import Stack

PASSWORD = "correct-horse-" + uuid4().hex[:8]
_SEEN_WITHIN = 60.0  # seconds for what must come, on a machine that is busy; only what is broken takes so long

SECRETS = {
    "api": {"edge_secret", "mysql_primary", "mysql_replica", "token_signing_key"},
    "stream": {"edge_secret"},
    "storekeeper": {"edge_secret"},
    "haproxy": {"edge_secret", "edge.pem"},
    "mysql-primary": {"password", "root", "replication"},
}


@dataclass
class Person:
    """Somebody with a token, at the edge."""

    http: httpx.AsyncClient
    name: str
    id: int = 0
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(self, text: str) -> None:
        """Again, with the same key, until it is known to be made: what a client does when a server is gone."""
        key, until = f'"{uuid4()}"', time.monotonic() + _SEEN_WITHIN
        while True:
            try:
                answer = await self.http.post(
                    "/v1/posts", json={"text": text}, headers=self.headers | {"Idempotency-Key": key}
                )
                if answer.status_code == 201:
                    return
                assert answer.status_code == 503, answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, f"{text!r} was not taken"
            await asyncio.sleep(0.3)


@dataclass
class Listener:
    """A stream that is read until it is left; it comes back by itself with its cursor."""

    person: Person
    cursor: str = ""
    node: str = ""
    texts: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            headers = self.person.headers | ({"Last-Event-ID": self.cursor} if self.cursor else {})
            try:
                async with self.person.http.stream("GET", "/v1/stream", headers=headers, timeout=40) as answer:
                    await self._read(answer)
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)

    async def _read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(":")
            if line:
                fields[name] = fields[name] + "\n" + value[1:] if name in fields else value[1:]
            elif "event" in fields:
                self._take(fields["event"], json.loads(fields["data"]))
                self.cursor = fields.get("id", self.cursor)
                fields = {}
            else:
                fields = {}

    def _take(self, event: str, data: dict[str, Any]) -> None:
        self.events.append(event)
        if event == "hello":
            self.node = data["node"]
        elif event == "post":
            self.texts.append(data["object"]["text"])

    async def until(self, texts: list[str]) -> None:
        """Exactly these posts have come, in this order."""
        until = time.monotonic() + _SEEN_WITHIN
        while self.texts != texts and time.monotonic() < until:
            await asyncio.sleep(0.05)
        assert self.texts == texts

    async def until_event(self, event: str) -> None:
        until = time.monotonic() + _SEEN_WITHIN
        while event not in self.events:
            assert time.monotonic() < until, f"no {event}, only {self.events[-5:]}"
            await asyncio.sleep(0.05)


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.address, timeout=20) as client:
        yield client


async def sign(http: httpx.AsyncClient, how: str, name: str) -> Person:
    body = {"username": name, "password": PASSWORD}
    answer = await http.post(f"/v1/auth/{how}", json=body | ({"passwordConfirm": PASSWORD} if how == "sign-up" else {}))
    assert answer.is_success, answer.text
    told = answer.json()
    return Person(http, name, told["userId"], told["token"])


async def reader_and_author(http: httpx.AsyncClient) -> tuple[Person, Person]:
    reader, author = [await sign(http, "sign-up", f"{role}{uuid4().hex[:8]}") for role in ("reader", "author")]
    followed = await http.post(f"/v1/friends/{author.id}", headers=reader.headers)
    assert followed.is_success, followed.text
    return reader, author


@asynccontextmanager
async def listening(person: Person) -> AsyncIterator[Listener]:
    listener = Listener(person)
    task = asyncio.create_task(listener.run())
    try:
        await listener.until_event("snapshot")
        yield listener
    finally:
        task.cancel()


def test_each_container_has_its_own_secrets_and_no_others(stack: Stack) -> None:
    found = {service: set(stack.compose("exec", service, "ls", "/run/secrets").split()) for service in SECRETS}

    assert found == SECRETS


async def test_the_story(http: httpx.AsyncClient) -> None:
    reader, author = await reader_and_author(http)
    async with listening(reader) as listener:
        await author.post("first")
        await listener.until(["first"])
        cursor = listener.cursor
    await author.post("while away")

    again = Listener(reader, cursor)
    task = asyncio.create_task(again.run())
    await again.until(["while away"])
    task.cancel()

    assert "snapshot" not in again.events and "gap" not in again.events


async def test_a_broker_is_killed_and_nothing_is_lost(stack: Stack, http: httpx.AsyncClient) -> None:
    reader, author = await reader_and_author(http)
    texts = [f"post {n}" for n in range(40)]
    async with listening(reader) as listener:
        for n, text in enumerate(texts):
            if n == 10:
                await asyncio.to_thread(stack.compose, "kill", "kafka-2")
                killed = time.monotonic()
            await author.post(text)
            await asyncio.sleep(0.05)
        await listener.until(texts)
        print(f"\n  a broker killed: all is there {time.monotonic() - killed:.1f} s later")
    stack.up()


async def test_a_node_is_added_and_the_one_with_the_stream_is_stopped(stack: Stack, http: httpx.AsyncClient) -> None:
    reader, author = await reader_and_author(http)
    async with listening(reader) as listener:
        stack.up("--scale", "stream=3")
        until = time.monotonic() + _SEEN_WITHIN
        while await _nodes_up(stack, http) < 3:
            assert time.monotonic() < until, "the edge does not see the third node"
            await asyncio.sleep(0.5)
        await author.post("before")
        await listener.until(["before"])
        before = listener.node
        [name] = [one for one in stack.containers("stream") if _hostname(one) == before]

        stopping = await asyncio.create_subprocess_exec(
            "docker", "stop", "--timeout", "30", name, stdout=asyncio.subprocess.DEVNULL
        )
        texts = ["before", *(f"meanwhile {n}" for n in range(20))]
        for text in texts[1:]:
            await author.post(text)
            await asyncio.sleep(0.3)
        await listener.until(texts)
        await asyncio.wait_for(stopping.wait(), 60)

        assert "bye" in listener.events and "gap" not in listener.events
        assert listener.node != before
    stack.up("--scale", "stream=2")


async def test_down_and_up_again_keeps_everything(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.address, timeout=20) as http:
        reader, author = await reader_and_author(http)
        await author.post("kept")
    stack.down()
    stack.up()

    async with httpx.AsyncClient(base_url=stack.address, timeout=20) as http:
        again = await sign(http, "sign-in", reader.name)
        until = time.monotonic() + _SEEN_WITHIN
        while True:
            answer = await http.get("/v1/feed", headers=again.headers)
            texts = [item["object"]["text"] for item in answer.json().get("items", ()) if item["type"] == "post"]
            if texts == ["kept"]:
                break
            assert time.monotonic() < until, answer.text
            await asyncio.sleep(0.5)


def _hostname(container: str) -> str:
    inspect = ("docker", "inspect", "--format", "{{.Config.Hostname}}", container)
    return subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()


async def _nodes_up(stack: Stack, http: httpx.AsyncClient) -> int:
    """How many nodes the edge opens streams on."""
    lines = (await http.get(f"{stack.stats_address}/stats;csv")).text.splitlines()
    return sum(line.startswith("wire,stream-") and ",UP," in line for line in lines)
