"""Stream nodes come, are emptied and go, with stand-ins: shells that sleep for nodes, a table for HAProxy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local import admin, edge, ours
from local.control import Message
from local.desk import Desk
from local.fleet import Fleet
from local.place import STREAM_PLACES, Place
from local.site import Site
from local.spec import Spec
from local.supervisor import Supervisor


class Table:
    """What HAProxy knows of its servers, and every command that changed it."""

    def __init__(self) -> None:
        self.state = dict.fromkeys(STREAM_PLACES, "maint") | {"stream-1": "ready", "stream-2": "ready"}
        self.told: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.readline()).decode().strip()
        match command.split():
            case ["set", "server", server, "state", state]:
                self.told.append(command)
                self.state[server.partition("/")[2]] = state
            case ["set", *_]:
                self.told.append(command)
            case ["show", "stat"]:
                for name, state in self.state.items():
                    row = ["stream", name, *["0"] * 15, "UP" if state == "ready" else state.upper()]
                    writer.write(f"{','.join(row)}\n".encode())
        writer.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.at(Place.at(tmp_path))


@pytest.fixture
async def table(site: Site) -> AsyncIterator[Table]:
    made = Table()
    server = await asyncio.start_unix_server(made.serve, site.place.sockets / "haproxy.sock")
    yield made
    server.close()


@pytest.fixture
async def fleet(site: Site, table: Table, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    async def ready() -> None:
        await asyncio.sleep(0.05)  # others have their turn meanwhile

    def node(site: Site, name: str) -> Spec:
        return Spec(name, ("sleep", "60"), ready, stop_within=5)

    monkeypatch.setattr(ours, "stream", node)
    supervisor = Supervisor(
        [node(site, name) for name in ("haproxy", "stream-1", "stream-2")], site.place.logs, lambda *_: None
    )
    await supervisor.start()
    yield Fleet(site, supervisor)
    await supervisor.stop()


def of(fleet: Fleet) -> Supervisor:
    return fleet._supervisor


@pytest.mark.parametrize("name", ["stream-7", "haproxy", "nobody"])
@pytest.mark.parametrize("verb", ["drain", "fill", "remove"])
async def test_what_is_no_node_is_refused_before_the_edge_hears_of_it(
    fleet: Fleet, table: Table, verb: str, name: str
) -> None:
    with pytest.raises(ValueError, match=f"no stream node '{name}'"):
        await getattr(fleet, verb)(name)

    assert table.told == []


async def test_a_node_that_does_not_run_is_filled_by_nobody(fleet: Fleet, table: Table) -> None:
    await of(fleet).processes["stream-2"].stop()

    with pytest.raises(ValueError, match="stream-2 is not ready"):
        await fleet.fill("stream-2")

    assert table.told == []


async def test_the_last_node_stays(fleet: Fleet, table: Table) -> None:
    await fleet.remove("stream-2")
    table.told.clear()

    with pytest.raises(ValueError, match="last"):
        await fleet.remove("stream-1")

    assert table.told == []


async def test_changes_are_made_one_after_another(fleet: Fleet, table: Table, site: Site) -> None:
    desk, heard = Desk(of(fleet), fleet, asyncio.Event()), []

    async def command(request: Message) -> None:
        async for message in desk.answer(request):
            assert "error" not in message
            heard.append(request)

    asked: list[Message] = [
        {"do": "scale", "count": 5},
        {"do": "scale", "count": 2},
        {"do": "remove", "name": "stream-1"},
    ]
    await asyncio.gather(*map(command, asked))

    assert heard == [request for request in asked for _ in range(heard.count(request))]
    assert site.stream_nodes == ("stream-2",)
    assert of(fleet).processes.keys() == {"haproxy", "stream-2"}
    assert [name for name, state in table.state.items() if state == "ready"] == ["stream-2"]


async def test_a_drain_is_shown_and_outlives_the_edge_until_the_node_is_filled(
    fleet: Fleet, table: Table, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(*_: object) -> None:
        return

    monkeypatch.setattr(edge, "expect_200", answers)
    monkeypatch.setattr(edge, "get", answers)
    monkeypatch.setattr(edge, "ensure_haproxy", lambda _: Path("haproxy"))
    started_again = edge.spec(site)
    of(fleet).processes["stream-2"].tell = lambda _: None  # type: ignore[assignment, method-assign]

    await fleet.drain("stream-2")
    note = of(fleet).processes["stream-2"].note
    table.state["stream-2"] = "ready"  # so it is with an edge that has just begun
    await started_again.ready()
    forgotten = dict(table.state)
    await fleet.fill("stream-2")
    table.told.clear()
    await started_again.ready()

    assert "drained" in note
    assert forgotten["stream-2"] == "drain"
    assert forgotten["stream-1"] == "ready"
    assert (table.told, site.drained) == ([], ())
    assert of(fleet).processes["stream-2"].note == ""


async def test_what_was_kept_before_drains_were_is_still_read(site: Site) -> None:
    (site.place.directory / "nodes.json").write_text('["stream-3", "stream-1"]')

    assert (site.stream_nodes, site.drained) == (("stream-1", "stream-3"), ())


def test_a_node_is_given_its_drain_to_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ours.stream(site, "stream-1").stop_within
    monkeypatch.setenv("DRAIN", "600")

    assert usual > 8
    assert ours.stream(site, "stream-1").stop_within > 600
    assert ours.api(site, "api-1").stop_within < 60


async def test_what_haproxy_refuses_is_an_error(site: Site) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"No such server.\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, site.place.sockets / "haproxy.sock")
    with pytest.raises(admin.Refused, match="No such server"):
        await admin.drain(site.place.sockets / "haproxy.sock", "stream-9")
    server.close()
