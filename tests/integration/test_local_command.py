"""`python -m local`, as a person types it, with the whole system on ports of its own."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import jwt
import pytest

from local import admin
from local.child import tail_of
from local.place import NAMES, PROJECT, Place

# Longer than `up` waits for its processes, so that it can say what is wrong.
_WITHIN = 150
pytestmark = pytest.mark.timeout(400)


class Person:
    """Types commands."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **os.environ,
            "LOCAL_DIR": str(directory),
            "EDGE_PORT": "0",
            "STATS_PORT": "0",
            "EDGE_TLS_PORT": "0",
        }

    async def types(self, *words: str, **environment: str) -> tuple[int, str]:
        """Exit code and everything printed by `python -m local WORDS`."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local", *words),
            cwd=PROJECT,
            env={**self.environment, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(command.communicate(), _WITHIN)
        finally:
            if command.returncode is None:
                command.kill()
        assert command.returncode is not None
        return command.returncode, said.decode()

    async def sees(self) -> dict[str, dict[str, object]]:
        _, said = await self.types("status", "--json")
        return {one["name"]: one for one in json.loads(said)}


@pytest.fixture(scope="module")
async def person(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Person]:
    someone = Person(tmp_path_factory.mktemp("command"))
    try:
        code, said = await someone.types("up")
        assert code == 0, said
        yield someone
    finally:
        await someone.types("down")


def is_alive(pid: object) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def addresses(seen: dict[str, object]) -> list[str]:
    found = seen["addresses"]
    assert isinstance(found, list)
    return [str(address) for address in found]


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def listeners() -> list[tuple[str, int]]:
    """Hexadecimal host and port of whatever listens on this machine over IPv4."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [(row[1].split(":")[0], int(row[1].split(":")[1], 16)) for row in rows if row[3] == "0A"]


async def test_status_names_every_process_with_pid_addresses_state_and_log(person: Person) -> None:
    seen = await person.sees()

    assert list(seen) == list(NAMES)
    for one in seen.values():
        assert one["state"] == "ready"
        assert is_alive(one["pid"])
        assert one["addresses"]
        assert tail_of(Path(str(one["log"])))


async def test_a_second_up_starts_nothing_and_says_so(person: Person) -> None:
    before = {name: one["pid"] for name, one in (await person.sees()).items()}

    code, said = await person.types("up")

    assert code == 0
    assert "already running" in said
    code, said = await person.types("up", LIMITS="bench")
    assert code == 1
    assert "LIMITS=bench changes nothing of what runs" in said
    assert {name: one["pid"] for name, one in (await person.sees()).items()} == before


async def test_one_process_can_be_stopped_and_started(person: Person) -> None:
    assert (await person.types("stop", "stream-2"))[0] == 0
    stopped = (await person.sees())["stream-2"]
    code, said = await person.types("start", "stream-2")

    assert (stopped["state"], stopped["pid"]) == ("stopped", None)
    assert code == 0
    assert "ready on" in said
    assert (await person.sees())["stream-2"]["state"] == "ready"


async def test_nodes_come_and_go_and_nothing_is_started_again(person: Person) -> None:
    before = {name: one["pid"] for name, one in (await person.sees()).items()}

    typed = [await person.types("scale", "stream", "3")]
    grown = await person.sees()
    for words in (("drain", "stream-3"), ("fill", "stream-3"), ("remove", "stream-3")):
        typed.append(await person.types(*words))
    after = {name: one["pid"] for name, one in (await person.sees()).items()}

    assert [code for code, _ in typed] == [0] * 4, typed
    assert grown["stream-3"]["state"] == "ready"
    assert after == before


async def test_what_is_refused_changes_nothing_at_the_edge(person: Person) -> None:
    await person.types("stop", "stream-2")
    async with asyncio.timeout(30):
        while (before := await edge_states(person))["stream-2"][0] != "0":
            await asyncio.sleep(0.1)

    refused = [await person.types(verb, "stream-7") for verb in ("drain", "fill", "remove")]
    unready = await person.types("fill", "stream-2")
    after = await edge_states(person)
    await person.types("start", "stream-2")

    assert [code for code, _ in refused] == [1, 1, 1]
    assert all("there is no stream node 'stream-7'" in said for _, said in refused)
    assert (unready[0], "stream-2 is not ready" in unready[1]) == (1, True)
    assert after == before


async def test_a_drain_outlives_the_edge(person: Person) -> None:
    await person.types("drain", "stream-2")
    before = await edge_states(person)
    for verb in ("stop", "start"):
        assert (await person.types(verb, "haproxy"))[0] == 0
    after, shown = await edge_states(person), (await person.sees())["stream-2"]
    await person.types("fill", "stream-2")

    assert before["stream-2"][1] == after["stream-2"][1] != after["stream-1"][1]
    assert "drained" in str(shown["note"])
    assert (await person.sees())["stream-2"]["note"] == ""
    assert (await edge_states(person))["stream-2"][1] == after["stream-1"][1]


async def edge_states(person: Person) -> dict[str, tuple[str, ...]]:
    """Of each place: operational and administrative state and address, as HAProxy numbers them."""
    said = await admin.ask(Place.at(person.directory).sockets / "haproxy.sock", "show servers state stream")
    rows = [row.split() for row in said.splitlines() if " stream-" in row]
    return {row[3]: (row[5], row[6], row[4], row[18]) for row in rows}


async def test_a_new_key_signs_and_the_old_one_still_counts(person: Person) -> None:
    public = person.directory / "keys" / "public"
    front = addresses((await person.sees())["haproxy"])[0]
    async with httpx.AsyncClient(base_url=front, trust_env=False, timeout=20) as client:
        tokens = [await token_of_somebody_new(client)]
        (old,) = (file.stem for file in public.iterdir())

        code, _ = await person.types("rotate-key")
        (new,) = {file.stem for file in public.iterdir()} - {old}
        async with asyncio.timeout(30):
            while kid_of(tokens[-1]) != new:
                tokens.append(await token_of_somebody_new(client))
        answers = [await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"}) for token in tokens]
        listed = (await client.get("/v1/auth/keys")).json()["keys"]

    assert code == 0
    assert kid_of(tokens[0]) == old
    assert {answer.status_code for answer in answers} == {200}
    assert {key["kid"] for key in listed} == {old, new}


async def token_of_somebody_new(client: httpx.AsyncClient) -> str:
    body = {"username": f"t-{uuid4().hex[:12]}", "password": "1234567890", "passwordConfirm": "1234567890"}
    answer = await client.post("/v1/auth/sign-up", json=body)
    client.cookies.clear()
    assert answer.status_code == 201, answer.text
    await asyncio.sleep(0.6)  # the edge takes 20 in 10 seconds
    return str(answer.json()["token"])


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_a_killed_process_comes_back_and_status_counts_it(person: Person) -> None:
    before = (await person.sees())["api-2"]
    os.kill(int(str(before["pid"])), signal.SIGKILL)

    async with asyncio.timeout(30):
        while (after := (await person.sees())["api-2"])["state"] != "ready" or after["pid"] == before["pid"]:
            await asyncio.sleep(0.1)

    assert after["restarts"] == 1


async def test_the_front_door_is_on_both_loopback_addresses_and_nothing_is_on_any_other(person: Person) -> None:
    seen = await person.sees()
    ports = {port_of(address) for one in seen.values() for address in addresses(one)}
    front = addresses(seen["haproxy"])[0]

    assert {host for host, port in listeners() if port in ports} == {"0100007F"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for host in ("127.0.0.1", "[::1]"):
            assert (await client.get(front.replace("localhost", host) + "/v1/me")).status_code == 401


async def test_a_taken_front_door_is_refused_before_anything_starts(person: Person, tmp_path: Path) -> None:
    taken = port_of(addresses((await person.sees())["haproxy"])[0])

    code, said = await person.types("up", LOCAL_DIR=str(tmp_path), EDGE_PORT=str(taken))

    assert code == 1
    assert f"port {taken} is taken" in said
    assert "EDGE_PORT=" in said
    assert (await person.types("status", LOCAL_DIR=str(tmp_path)))[1] == "nothing is running\n"


async def test_secrets_are_for_the_owner_alone_and_in_no_log(person: Person) -> None:
    for file in (person.directory / "env", *(person.directory / "secrets").iterdir()):
        assert file.stat().st_mode & 0o777 == 0o600, file
    secrets = [file.read_text() for file in (person.directory / "secrets").iterdir() if file.suffix != ".sql"]
    logs = "".join(file.read_text(errors="replace") for file in (person.directory / "logs").iterdir())

    assert not [secret for secret in secrets if secret in logs]


async def test_nothing_outlives_a_killed_supervisor_and_up_begins_again_with_the_same_data(person: Person) -> None:
    pids = [one["pid"] for one in (await person.sees()).values()]
    env = (person.directory / "env").read_text()
    os.kill(int((person.directory / "supervisor.pid").read_text()), signal.SIGKILL)

    async with asyncio.timeout(10):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.05)
    assert (await person.types("down"))[1] == "nothing is running\n"
    code, said = await person.types("up")

    assert code == 0, said
    assert "all the way round" in said
    assert (person.directory / "env").read_text() == env


async def test_down_ends_the_edge_first_and_leaves_no_process(person: Person) -> None:
    pids = [one["pid"] for one in (await person.sees()).values()]

    code, said = await person.types("down")

    assert code == 0
    names = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert set(names) == set(NAMES)
    assert names[0] == "haproxy"
    assert not [pid for pid in pids if is_alive(pid)]
    assert (await person.types("down")) == (0, "nothing is running\n")


async def test_a_system_whose_directory_was_deleted_ends_by_itself(person: Person) -> None:
    assert (await person.types("up"))[0] == 0
    pids = [int((person.directory / "supervisor.pid").read_text())]
    pids += [int(str(one["pid"])) for one in (await person.sees()).values()]

    shutil.rmtree(person.directory, ignore_errors=True)

    async with asyncio.timeout(60):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.1)


async def test_reset_deletes_the_data_and_every_secret(person: Person) -> None:
    assert (await person.types("up"))[0] == 0

    assert (await person.types("reset"))[0] == 0

    assert not [path.name for path in person.directory.iterdir() if path.name != "supervisor.pid"]
