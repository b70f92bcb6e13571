"""compose.yaml as it is, on ports of its own and under a name of its own; nothing of it is left."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from local.ports import free_port
from tests.compose.images.build import build_missing

PROJECT = Path(__file__).parents[2]
_ENGINE, _COMPOSE = (25,), (2, 20, 2)
_UP_WITHIN = 420
_COMMAND_WITHIN = 120

collect_ignore_glob = [] if os.environ.get("TEST_COMPOSE") else ["test_*.py"]


@dataclass(frozen=True)
class Stack:
    """One `docker compose` project."""

    name: str
    ports: dict[str, int]

    @property
    def address(self) -> str:
        return f"http://localhost:{self.ports['EDGE_PORT']}"

    @property
    def stats_address(self) -> str:
        return f"http://localhost:{self.ports['STATS_PORT']}"

    def compose(self, *arguments: str, within: float = _COMMAND_WITHIN) -> str:
        """What the command says. Raises CalledProcessError with its output."""
        command = ("docker", "compose", "--project-name", self.name, *arguments)
        environment = os.environ | {name: str(port) for name, port in self.ports.items()}
        done = subprocess.run(
            command, check=False, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=within
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Returns when everything is healthy; says how long that took."""
        began = time.monotonic()
        self.compose("up", "--detach", "--wait", *arguments, within=_UP_WITHIN)
        print(f"\n  up {' '.join(arguments)}: {time.monotonic() - began:.0f} s", flush=True)

    def down(self, *arguments: str) -> None:
        began = time.monotonic()
        self.compose("down", *arguments)
        print(f"\n  down {' '.join(arguments)}: {time.monotonic() - began:.0f} s", flush=True)

    def containers(self, service: str) -> list[str]:
        """The names of the service's containers."""
        return self.compose("ps", "--format", "{{.Name}}", service).split()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Everything is up and healthy. Skipped, with the reason, where that cannot be."""
    if why := _missing():
        pytest.skip(why)
    build_missing()
    running = Stack(
        f"stickyfeed-test-{uuid4().hex[:8]}",
        {name: free_port() for name in ("EDGE_PORT", "EDGE_TLS_PORT", "STATS_PORT")},
    )
    try:
        running.up("--build")
        yield running
    finally:
        running.down("--volumes", "--timeout", "5")


def _missing() -> str:
    """What is not there, and what to do about it."""
    for command, wanted in (
        (("docker", "version", "--format", "{{.Server.Version}}"), _ENGINE),
        (("docker", "compose", "version", "--short"), _COMPOSE),
    ):
        needed = f"{' '.join(command[:2])} {'.'.join(map(str, wanted))} or later"
        try:
            said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        except (FileNotFoundError, subprocess.CalledProcessError):
            return f"no Docker engine answers: {needed} is needed (DOCKER_HOST names another)"
        if tuple(map(int, re.findall(r"\d+", said)[:3])) < wanted:
            return f"{needed} is needed, this is {said.strip()}"
    return ""
