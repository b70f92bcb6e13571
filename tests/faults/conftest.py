"""Systems in which things are killed. Each test leaves its system whole."""

from collections.abc import AsyncIterator

import httpx
import pytest

from local.system import System
from tests.faults.beside import Beside, beside_of
from tests.faults.model import World


@pytest.fixture
async def world(system: System, address: str) -> AsyncIterator[World]:
    """The system of all tests."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client, World(system, client, address) as world:
        yield world


@pytest.fixture(scope="session")
async def beside(system: System) -> AsyncIterator[Beside]:
    """The same system, past its edge."""
    async with beside_of(system) as opened:
        yield opened
