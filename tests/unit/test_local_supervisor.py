"""The supervisor, with stand-ins for servers: a shell that sleeps."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local.child import tail_of
from local.logs import trim
from local.place import NAMES, STREAM_PLACES
from local.plan import PROCESSES
from local.process import Failed, Process, State
from local.spec import Spec
from local.status import Status, table
from local.supervisor import Supervisor

Said = list[tuple[str, str]]
Make = Callable[..., Supervisor]


async def always() -> None:
    return


async def never() -> None:
    raise ConnectionError("nobody answers")


def sleeper(name: str, *after: str, script: str = "exec sleep 60", stop_within: float = 5) -> Spec:
    return Spec(name, ("sh", "-c", script), always, after=after, stop_within=stop_within)


def broken(script: str) -> Spec:
    return Spec("broken", ("sh", "-c", script), never)


@pytest.fixture
def said() -> Said:
    return []


@pytest.fixture
async def supervisors(tmp_path: Path, said: Said) -> AsyncIterator[Make]:
    """Makes supervisors and leaves nothing of them behind."""
    made: list[Supervisor] = []

    def make(*specs: Spec) -> Supervisor:
        made.append(Supervisor(specs, tmp_path, lambda name, text: said.append((name, text))))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def until(process: Process, state: State, within: float = 5) -> None:
    async with asyncio.timeout(within):
        while process.state is not state:
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_each_starts_after_what_it_needs_and_ends_before_it(supervisors: Make, said: Said) -> None:
    supervisor = supervisors(sleeper("edge", "api"), sleeper("api", "base"), sleeper("base"))

    await supervisor.start()
    started = [name for name, _ in said]
    said.clear()
    await supervisor.stop()

    assert started == ["base", "api", "edge"]
    assert [name for name, _ in said] == ["edge", "api", "base"]


async def test_what_is_killed_comes_back_and_is_counted(supervisors: Make, said: Said) -> None:
    supervisor = supervisors(sleeper("one"))
    await supervisor.start()
    one = supervisor.processes["one"]
    first = one.pid

    await one.kill()
    await until(one, State.RESTARTING)
    await one.start()

    assert one.state is State.READY
    assert one.pid not in (first, None)
    assert one.restarts == 1
    assert ("one", "ended by SIGKILL; starting it again in 0.2 s") in said


async def test_what_is_stopped_stays_stopped_until_it_is_started(supervisors: Make) -> None:
    supervisor = supervisors(sleeper("one"))
    await supervisor.start()
    one = supervisor.processes["one"]

    await one.stop()
    await asyncio.sleep(0.5)  # longer than the first wait before a start

    assert (one.state, one.pid, one.restarts) == (State.STOPPED, None, 0)
    await one.start()
    assert one.state is State.READY


async def test_what_is_stopped_while_it_waits_to_be_started_again_stays_stopped(supervisors: Make) -> None:
    supervisor = supervisors(sleeper("one"))
    await supervisor.start()
    one = supervisor.processes["one"]
    await one.kill()
    await until(one, State.RESTARTING)

    await one.stop()
    await asyncio.sleep(0.5)

    assert (one.state, one.pid) == (State.STOPPED, None)


async def test_one_that_does_not_want_to_end_is_killed_with_its_children(supervisors: Make, tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; while :; do wait; done"
    supervisor = supervisors(sleeper("stubborn", script=script, stop_within=0.3))
    await supervisor.start()
    await has_text(tmp_path / "child")
    child = int((tmp_path / "child").read_text())

    said = await supervisor.processes["stubborn"].stop()

    assert "killed" in said
    await asyncio.sleep(0.05)
    assert not is_alive(child)


async def test_one_that_never_lives_is_called_failed_and_its_log_is_shown(supervisors: Make) -> None:
    supervisor = supervisors(broken("echo the disk is full >&2; exit 7"), sleeper("fine"))

    with pytest.raises(Failed) as failure:
        await supervisor.processes["fine"].start()
        await supervisor.start(within=20)

    assert "broken" in str(failure.value)
    assert "exit code 7" in str(failure.value)
    assert "the disk is full" in str(failure.value)
    assert supervisor.processes["fine"].state is State.READY


async def test_a_command_that_does_not_exist_is_a_failure_and_not_a_crash(supervisors: Make) -> None:
    supervisor = supervisors(Spec("typo", ("/no/such/program",), always))

    with pytest.raises(Failed, match="no/such/program"):
        await supervisor.start(within=20)


async def test_a_fault_of_the_keeping_itself_is_seen(supervisors: Make, said: Said) -> None:
    supervisor = supervisors(sleeper("one"))
    one = supervisor.processes["one"]

    async def fails() -> float:
        raise ValueError("a fault of ours")

    one._live_once = fails  # type: ignore[method-assign]
    with pytest.raises(Failed, match="a fault of ours"):
        await one.start()

    assert one.state is State.FAILED
    assert [name for name, _ in said] == ["one"]


async def test_one_that_is_never_ready_says_what_it_lacks(supervisors: Make) -> None:
    supervisor = supervisors(Spec("mute", ("sleep", "60"), never))

    with pytest.raises(Failed, match="nobody answers"):
        await supervisor.start(within=2)


async def test_what_waits_for_a_failed_one_is_started_all_the_same(supervisors: Make) -> None:
    supervisor = supervisors(broken("exit 1"), sleeper("after", "broken"))

    with pytest.raises(Failed):
        await supervisor.start(within=20)

    await until(supervisor.processes["after"], State.READY)


async def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from local.spec import Spec\n"
        "from local.supervisor import Supervisor\n"
        "async def ready(): pass\n"
        "async def main():\n"
        "    s = Supervisor([Spec('one', ('sleep', '60'), ready)], pathlib.Path(sys.argv[1]), lambda *_: None)\n"
        "    await s.start()\n"
        "    print(s.processes['one'].pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 10))
    assert is_alive(pid)

    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()

    async with asyncio.timeout(2):
        while is_alive(pid):
            await asyncio.sleep(0.01)


async def test_the_log_of_the_run_before_is_kept_apart(supervisors: Make, tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("yesterday\n")
    supervisor = supervisors(sleeper("one", script="echo today; exec sleep 60"))
    await supervisor.start()

    await has_text(tmp_path / "one.log")

    assert (tmp_path / "one.log").read_text() == "today\n"
    assert (tmp_path / "one.log.1").read_text() == "yesterday\n"


async def test_status_tells_what_a_person_needs_to_know(supervisors: Make, tmp_path: Path) -> None:
    async def ready() -> str:
        return "a word to a person"

    supervisor = supervisors(Spec("web", ("sleep", "60"), ready, addresses=("http://localhost:1",)), sleeper("gone"))
    await supervisor.start()
    await supervisor.processes["gone"].stop()
    supervisor.processes["web"].restarts = 3

    web, gone = (Status.of(process) for process in supervisor.processes.values())

    assert web.pid is not None
    assert web.as_json() == {
        "name": "web",
        "pid": web.pid,
        "addresses": ["http://localhost:1"],
        "state": "ready",
        "log": str(tmp_path / "web.log"),
        "restarts": 3,
        "ready_after": web.ready_after,
        "why": "",
        "note": "a word to a person",
    }
    assert (gone.pid, gone.state) == (None, "stopped")
    assert "http://localhost:1   a word to a person   restarts: 3" in table([web, gone]).splitlines()[0]


async def test_a_log_that_has_grown_too_long_starts_anew_without_a_word_lost(supervisors: Make, tmp_path: Path) -> None:
    script = f"echo before; until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo after; exec sleep 60"
    supervisor = supervisors(sleeper("chatty", script=script))
    await supervisor.start()
    log = supervisor.processes["chatty"].log
    await has_text(log)

    trim(log)
    (tmp_path / "go").touch()
    await has_text(log)

    assert log.read_text() == "after\n"
    assert log.with_suffix(".log.1").read_text() == "before\n"


async def has_text(log: Path) -> None:
    async with asyncio.timeout(5):
        while not tail_of(log):
            await asyncio.sleep(0.01)


def test_the_names_that_commands_know_are_those_of_the_processes() -> None:
    assert set(PROCESSES) == {*NAMES, *STREAM_PLACES}
