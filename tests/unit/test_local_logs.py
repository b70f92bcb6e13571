"""Logs and background tasks, on a machine that denies things for a while."""

import asyncio
from pathlib import Path

import pytest

from local.daemon import every, watched
from local.logs import trim, trim_all

Said = list[tuple[str, str]]


@pytest.fixture
def said() -> Said:
    return []


def test_a_full_disk_under_one_log_holds_up_no_other_and_is_told(tmp_path: Path, said: Said) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.log").write_text(name * 100)
    (tmp_path / "a.log.1").symlink_to("/dev/full")

    trim_all(tmp_path, lambda *words: said.append(words), longest=50)

    assert [(tmp_path / f"{name}.log").read_text() for name in ("a", "b")] == ["", ""]
    assert (tmp_path / "b.log.1").read_text() == "b" * 100
    assert not (tmp_path / "a.log.1").exists()
    assert [name for name, _ in said] == ["a"]
    assert "No space left" in said[0][1]


def test_room_again_is_used_again(tmp_path: Path, said: Said) -> None:
    log = tmp_path / "a.log"
    log.write_text("first")
    (tmp_path / "a.log.1").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        trim(log)
    log.write_text("second")

    trim_all(tmp_path, lambda *words: said.append(words), longest=1)

    assert (log.read_text(), (tmp_path / "a.log.1").read_text(), said) == ("", "second", [])


def test_a_short_log_is_left_alone(tmp_path: Path, said: Said) -> None:
    (tmp_path / "a.log").write_text("short")

    trim_all(tmp_path, lambda *words: said.append(words), longest=50)

    assert (tmp_path / "a.log").read_text() == "short"


async def test_what_the_machine_denies_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = asyncio.Queue[int]()

    async def trim_logs() -> None:
        tries.put_nowait(1)
        if tries.qsize() < 3:
            raise OSError(28, "No space left on device")

    task = asyncio.create_task(every(0, trim_logs))
    async with asyncio.timeout(10):
        while tries.qsize() < 4:
            await asyncio.sleep(0)
    task.cancel()

    assert [record.getMessage() for record in caplog.records] == [
        "trim_logs failed, and is tried again in 0 s: [Errno 28] No space left on device"
    ] * 2


async def test_a_background_task_that_fails_ends_everything(caplog: pytest.LogCaptureFixture) -> None:
    end = asyncio.Event()

    async def fails() -> None:
        raise ValueError("a fault of ours")

    await watched(fails(), end)

    assert end.is_set()
    assert "a fault of ours" in caplog.text
