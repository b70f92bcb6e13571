"""Both doors of a node obey the same rules, also where something goes wrong."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from store.events import EventType
from tests.integration.door_clients import UNREACHABLE, Client, Doors, both_doors, client_of

_BOTH = ("SSE", "WebSocket")
_LIVE = ["hello", "snapshot"]


async def nothing(_doors: Doors, _client: Client) -> None:
    pass


def signs_out(doors: Doors, client: Client) -> None:
    doors.node.publish((client.uid, ""), type=EventType.LOGOUT, sid=client.sid)


async def is_signed_out(doors: Doors, client: Client) -> None:
    await client.until("snapshot")
    signs_out(doors, client)


async def is_signed_out_while_it_opens(doors: Doors, client: Client) -> None:
    await client.until("hello")
    signs_out(doors, client)


async def waits_for_its_expiry(_doors: Doors, client: Client) -> None:
    await client.until("expiring")


def says(*messages: str | bytes) -> Callable[[Doors, Client], Awaitable[None]]:
    async def say(_doors: Doors, client: Client) -> None:
        await client.until("snapshot")
        for message in messages:
            await client.say(message)

    return say


def renews(what: Exception | None) -> Callable[[Doors, Client], Awaitable[None]]:
    async def renew(doors: Doors, client: Client) -> None:
        await client.until("snapshot")
        doors.store.session_check = what
        await client.say(json.dumps({"token": f"{client.uid} {client.sid} {int(time.time()) + 7200}"}))
        await client.until("renewed", "bye")
        doors.store.session_check = None
        signs_out(doors, client)

    return renew


@dataclass
class Case:
    """What happens to a client, and what it hears of it: its events and how its stream ends, by SSE and by WebSocket."""

    does: Callable[[Doors, Client], Awaitable[None]]
    told: list[str]
    ends: tuple[int | str, int | str] = ("end", 1000)
    transports: tuple[str, ...] = _BOTH
    node: dict[str, Any] = field(default_factory=dict)  # attributes of the node
    store: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)


_TWICE = [("last-event-id", "a"), ("last-event-id", "b")]
_SOCKETS = ("WebSocket",)
CASES = {
    "not from the edge": Case(nothing, [], (403, 403), request={"x_edge_secret": "a guess of 16 chars"}),
    "no identity": Case(nothing, [], (403, 403), request={"x_user_id": None}),
    "two cursors": Case(nothing, [], (400, 400), ("SSE",), request={"more": _TWICE}),
    "too many streams": Case(nothing, ["bye too-many"], limits={"streams_per_node": 0}),
    "a node that stops": Case(nothing, ["bye drain"], node={"draining": True}),
    "a node that is not ready": Case(nothing, ["bye unavailable"], node={"missing": "planted"}),
    "no followees can be had": Case(nothing, ["bye unavailable"], store={"unavailable": True}),
    "no page can be had": Case(nothing, ["hello", "bye unavailable"], store={"page_fails": UNREACHABLE}),
    "a fault of ours": Case(nothing, ["hello", "bye unavailable"], store={"page_fails": KeyError("planted")}),
    "a cursor that is none": Case(
        is_signed_out,
        ["hello", "gap malformed", "snapshot", "logout", "bye signed-out"],
        request={"query": "?cursor=garbage"},
    ),
    "signed out": Case(is_signed_out, [*_LIVE, "logout", "bye signed-out"]),
    "signed out while the archive hangs": Case(
        is_signed_out_while_it_opens, ["hello", "bye signed-out"], store={"page_takes": 3600}
    ),
    "expired": Case(waits_for_its_expiry, [*_LIVE, "expiring", "bye expired"], request={"exp": 2}),
    "expired while the archive hangs": Case(
        nothing, ["hello", "bye expired"], request={"exp": 2}, store={"page_takes": 3600}
    ),
    "no JSON": Case(says("not json"), [*_LIVE, "bye protocol"], ("", 1008), _SOCKETS),
    "binary": Case(says(b"\0\1"), [*_LIVE, "bye protocol"], ("", 1003), _SOCKETS),
    "a token that is none": Case(
        says(*['{"token":"x"}'] * 31), [*_LIVE, *["refused"] * 30, "bye protocol"], ("", 1008), _SOCKETS
    ),
    "renewed": Case(renews(None), [*_LIVE, "renewed", "logout", "bye signed-out"], ("", 1000), _SOCKETS),
    "nobody can tell whether the session lives": Case(
        renews(UNREACHABLE), [*_LIVE, "bye unavailable"], ("", 1000), _SOCKETS
    ),
    "a fault of ours in an answer": Case(
        renews(KeyError("planted")), [*_LIVE, "bye unavailable"], ("", 1000), _SOCKETS
    ),
}


@pytest.mark.parametrize("door", ["wire", "plain"])
@pytest.mark.parametrize("transport", _BOTH)
@pytest.mark.parametrize("name", CASES)
async def test_what_a_client_hears_is_the_same_at_both_doors(name: str, transport: str, door: str) -> None:
    case = CASES[name]
    if transport not in case.transports:
        pytest.skip("not of this transport")
    # Nothing but the rule in question ends a stream: the others are further away than this test waits.
    request = {**case.request}
    if "exp" in request:
        request["exp"] += int(time.time())
    async with both_doors(heartbeat=45, slow_after=3600) as doors:
        doors.node.node.settings = doors.node.node.settings.model_copy(update=case.limits)
        for attribute, value in case.node.items():
            setattr(doors.node.node, attribute, value)
        for attribute, value in case.store.items():
            setattr(doors.store, attribute, value)
        async with client_of(doors, door, transport, **request) as client:
            await case.does(doors, client)
            await client.until("the end")

            assert (client.told, client.end) == (case.told, case.ends[_BOTH.index(transport)])
        async with asyncio.timeout(10):
            while len(doors.node.hub):
                await asyncio.sleep(0.01)
