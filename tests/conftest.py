"""What every level of tests shares. Servers are started once per run, on ports of their own, and end with it."""

from collections.abc import AsyncIterator

import pytest

from local.system import System


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The whole system, as `make up` starts it, with limits that do not hinder a test whose users all come from one address."""
    async with System(tmp_path_factory.mktemp("system"), settings={"LIMIT_SIGN_IN": "1000000"}) as running:
        yield running
