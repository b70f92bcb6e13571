"""Systems in which things are killed. Each test leaves its system whole."""

from collections.abc import AsyncIterator

import httpx
import pytest

from local.system import System
from tests.faults.beside import Beside, beside_of
from tests.faults.model import World

_LIMITS = {"LIMIT_SIGN_IN": "1000000"}


@pytest.fixture
async def world(system: System) -> AsyncIterator[World]:
    """The system of all tests."""
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        yield World(system, client)


@pytest.fixture(scope="session")
async def beside(system: System) -> AsyncIterator[Beside]:
    """The same system, past its edge."""
    async with beside_of(system) as opened:
        yield opened


@pytest.fixture(scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A system whose nodes remember ten seconds, and lose their patience after five."""
    settings = {
        **_LIMITS,
        "RING_SECONDS": "10",
        "SLOW_AFTER": "5",
        "HEARTBEAT": "2",
        "DRAIN": "2",
        "STREAMS_PER_USER": "3",
    }
    async with (
        System(tmp_path_factory.mktemp("hasty"), settings=settings) as running,
        httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as client,
    ):
        yield World(running, client)
