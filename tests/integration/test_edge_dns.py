"""Nodes found by name, as compose does it: an address is a place in the hash, whatever the order of the answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.edge_dns import NameServer, name_server
from tests.integration.edge_node import Node, node
from tests.integration.edge_system import Edge, binaries, edge, free_port, has_wire, version_of
from tests.integration.test_edge_nodes import nodes_of

_HOSTS = [f"127.0.0.{last}" for last in range(2, 6)]
_UIDS = range(1, 301)


@dataclass
class Network:
    """An edge that is told three of the four nodes."""

    edge: Edge
    names: NameServer
    nodes: list[Node]
    settings: dict[str, str]


@pytest.fixture(scope="module", params=[one for one in binaries() if has_wire(one)], ids=version_of)
async def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    port, wire = free_port(), free_port()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(host, port, wire, host)) for host in _HOSTS]
        names = await stack.enter_async_context(name_server(_HOSTS[:3]))
        settings = {"STREAM_DNS": f"stream:{port}", "STREAM_WIRE_DNS": f"stream:{wire}", "NAMESERVER": names.at}
        made = edge(request.param, tmp_path_factory.mktemp("edge"), stream=0, settings=settings)
        running = await stack.enter_async_context(made)
        await until_up(running, 3)
        yield Network(running, names, nodes, settings)


async def until_up(running: Edge, count: int) -> None:
    for backend in ("stream", "wire"):
        await running.until_up(backend, count)


async def test_a_user_has_the_same_node_at_both_doors(network: Network) -> None:
    by_wire = await nodes_of(network.edge, _UIDS)
    by_plain = await nodes_of(network.edge, _UIDS, "/v1/stream/explain")

    assert by_wire == by_plain
    assert set(by_wire.values()) == set(_HOSTS[:3])
    assert sum(node.by_wire for node in network.nodes) == len(_UIDS)


async def test_answers_in_another_order_move_nobody_and_one_address_more_moves_its_share(network: Network) -> None:
    before = await nodes_of(network.edge, _UIDS)
    network.names.say(_HOSTS[2::-1])
    await network.names.until_told()
    turned = await nodes_of(network.edge, _UIDS)

    network.names.say([_HOSTS[3], *_HOSTS[:3]])
    await until_up(network.edge, 4)
    more = await nodes_of(network.edge, _UIDS)
    network.names.say(_HOSTS[:3])
    await until_up(network.edge, 3)

    moved = {uid for uid in _UIDS if more[uid] != before[uid]}
    assert turned == before
    assert {more[uid] for uid in moved} == {_HOSTS[3]}
    assert 0 < len(moved) <= len(_UIDS) * (1 / 4 + 0.02)
    assert await nodes_of(network.edge, _UIDS) == before


async def test_an_edge_that_begins_later_with_another_order_agrees(network: Network, tmp_path: Path) -> None:
    before = await nodes_of(network.edge, _UIDS)
    network.names.say([_HOSTS[1], _HOSTS[2], _HOSTS[0]])

    async with edge(network.edge.binary, tmp_path, stream=0, settings=network.settings) as later:
        await until_up(later, 3)
        assert await nodes_of(later, _UIDS) == before


async def test_an_address_whose_node_is_not_ready_gets_nobody(network: Network) -> None:
    before = await nodes_of(network.edge, _UIDS)
    network.nodes[3].ready = False
    network.names.say(_HOSTS)

    during = []
    while network.names.told < 3:
        during.append(await nodes_of(network.edge, _UIDS))
    network.names.say(_HOSTS[:3])
    await network.names.until_told()
    network.nodes[3].ready = True

    assert during == [before] * len(during)
