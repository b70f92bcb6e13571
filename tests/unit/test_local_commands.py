"""What commands say when the supervisor, or the environment, is not as it should be."""

import asyncio
import sys
from pathlib import Path

import pytest

from local import __main__ as command
from local import commands, control, environment, limits
from local.place import Place
from local.site import Site


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place.at(tmp_path)
    made.prepare()
    return made


@pytest.mark.parametrize("words", [["status"], ["scale", "stream", "3"], ["drain", "stream-1"], ["stop", "redis"]])
async def test_a_supervisor_that_does_not_answer_is_said_to_do_so(
    place: Place, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hears = await asyncio.start_unix_server(lambda *_: None, place.control)
    monkeypatch.setattr(commands, "_ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(commands, "_CHANGE_WITHIN", 0.1)
    monkeypatch.setattr(sys, "argv", ["local", "--dir", str(place.directory), *words])

    code = await asyncio.to_thread(command.main)
    hears.close()

    assert code == 1
    assert "has not answered" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["TOKEN_LIFE", "DRAIN"])
def test_what_is_no_number_of_seconds_is_told_before_anything_starts(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "an hour")
    for variable in ("EDGE_PORT", "STATS_PORT", "EDGE_TLS_PORT"):
        monkeypatch.setenv(variable, "0")
    monkeypatch.setattr(sys, "argv", ["local", "--dir", str(place.directory), "up"])

    assert command.main() == 1
    assert capsys.readouterr().err == f"{name}=an hour is not a number of seconds\n"


def test_limits_that_a_running_system_was_not_begun_with_are_noticed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.at(place)
    environment.write(site)
    without = environment.lacks(place, limits.BENCH)
    monkeypatch.setenv("LIMITS", "bench")
    environment.write(site)

    assert without
    assert not environment.lacks(place, limits.chosen())
    assert not environment.lacks(place, {})


def test_limits_that_nobody_knows_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMITS", "none at all")

    with pytest.raises(limits.UnknownLimits, match="none at all is not known: `bench`"):
        limits.chosen()


async def test_where_nobody_listens_nothing_runs(place: Place) -> None:
    with pytest.raises(control.NotRunning):
        async for _ in control.ask(place.control, {"do": "status"}, 1):
            pass
