"""The whole system once for all tests here, and people in it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from local.system import System
from tests.e2e.people import Person

MakePerson = Callable[[], Awaitable[Person]]


@pytest.fixture
async def person(system: System) -> AsyncIterator[MakePerson]:
    """Signs up somebody new."""
    async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=None)) as client:
        yield lambda: Person.signed_up(system.address, client)
