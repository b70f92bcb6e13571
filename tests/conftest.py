"""What every level of tests shares. Servers are started once per run, on ports of their own, and end with it."""

import re
from collections.abc import AsyncIterator

import pytest

from local import limits
from local.system import System
from tests import known
from tests.doors import edge_before, skip_without_the_wire

# What begins every header and payload of a token; how one is sent; the password of those who are programs.
_SECRET = re.compile(
    r"eyJ[A-Za-z0-9_-]{8}|bearer[ .][A-Za-z0-9]|sf_(access|refresh)=|access_token=|\b1234567890\b", re.IGNORECASE
)
LIMITS = {**limits.BENCH, "LIMIT_TRIES": "1000000", "LIMIT_REFRESH": "1000000", "DRAIN": "3"}


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The whole system, as `make up` starts it, with limits that do not hinder a test whose users all come from one address."""
    async with System(tmp_path_factory.mktemp("system"), settings=LIMITS) as running:
        yield running
        assert words_that_no_log_may_hold(running) == []


def words_that_no_log_may_hold(system: System) -> list[str]:
    """G8, after everything that the tests have done: pieces of tokens and passwords, each with its log."""
    return [
        f"{file.name}: {line[:200]}"
        for file in system.site.place.logs.iterdir()
        for text in (file.read_text(errors="replace"),)
        for line in (*(line for line in text.splitlines() if _SECRET.search(line)), *known.told(text))
    ]


@pytest.fixture(scope="session")
async def plain_address(system: System) -> AsyncIterator[str]:
    """An edge before the same nodes, which opens streams at their plain doors."""
    async with edge_before(system, "plain") as address:
        yield address


@pytest.fixture
def door() -> str:
    """The nodes' door behind `address`: the system's own choice, unless the test is one of `DOORS`."""
    return ""


@pytest.fixture
def address(door: str, system: System, plain_address: str) -> str:
    """The edge that a test's people use."""
    if door == "wire":
        skip_without_the_wire(system)
        assert door in system.processes["haproxy"].note
    return plain_address if door == "plain" else system.address
