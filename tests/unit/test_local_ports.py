"""Private ports are chosen once and kept; a person's own ports are never changed silently."""

import os
import socket
from pathlib import Path

import pytest

from local.ports import NoPort, Ports, check_front, chosen_front, free_port, is_free, listener_of


def listener(port: int = 0) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken


def test_a_port_once_chosen_is_found_again(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json")
    chosen = {name: first[name] for name in ("redis", "mongo", "api-1")}

    again = Ports(tmp_path / "ports.json")

    assert {name: again[name] for name in chosen} == chosen
    assert len(set(chosen.values())) == 3


def test_only_a_port_that_somebody_has_taken_is_chosen_anew(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    redis, mongo = ports["redis"], ports["mongo"]
    with listener(redis):
        renewed = Ports(tmp_path / "ports.json")

        assert renewed.renew_taken(["redis", "mongo", "never-chosen"]) == ["redis"]
        assert renewed["redis"] != redis
        assert renewed["mongo"] == mongo
    assert Ports(tmp_path / "ports.json")["redis"] == renewed["redis"]


def test_a_spoilt_file_costs_only_the_ports_in_it(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"redis": 2')

    assert Ports(tmp_path / "ports.json")["redis"] > 0


def test_a_private_port_is_not_one_that_the_kernel_gives_to_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(free_port() < lowest for _ in range(50))


def test_a_port_with_closing_connections_is_free_and_one_with_a_listener_is_not() -> None:
    with listener() as taken:
        port = taken.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), taken.accept()[0] as accepted:
            accepted.close()  # this side closes first: the port is now in TIME_WAIT
            listens = is_free(port)

    assert not listens
    assert is_free(port)


def test_a_taken_front_door_names_who_has_it_and_the_variable_to_change() -> None:
    with listener() as taken, pytest.raises(NoPort) as refusal:
        check_front(taken.getsockname()[1], "EDGE_PORT")

    assert f"pid {os.getpid()}, started in {Path.cwd()}" in str(refusal.value)
    assert "EDGE_PORT=" in str(refusal.value)


def test_nobody_is_named_for_a_free_port() -> None:
    assert listener_of(free_port()) is None


@pytest.mark.parametrize(("text", "port"), [("", 8080), ("18080", 18080), ("0", None)])
def test_the_front_door_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, text: str, port: int | None
) -> None:
    monkeypatch.setenv("EDGE_PORT", text)

    assert chosen_front("EDGE_PORT", 8080) == port


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80 "])
def test_what_is_no_port_is_refused_with_its_variable(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EDGE_PORT", text)

    with pytest.raises(NoPort, match="EDGE_PORT"):
        chosen_front("EDGE_PORT", 8080)
