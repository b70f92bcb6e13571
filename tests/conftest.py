"""What every level of tests shares. Servers are started once per run, on ports of their own, and end with it."""

from collections.abc import AsyncIterator

import pytest

from local import limits
from local.system import System

LIMITS = {**limits.BENCH, "LIMIT_POSTS": "1000000", "DRAIN": "3"}


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The whole system, as `make up` starts it, with limits that do not hinder a test whose users all come from one address."""
    async with System(tmp_path_factory.mktemp("system"), settings=LIMITS) as running:
        yield running
