"""The whole system once for all tests here, one browser, and people in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext

from local.system import System
from tests.e2e.people import Person
from tests.e2e.visitors import Visitor, chromium

MakePerson = Callable[[], Awaitable[Person]]
NewContext = Callable[..., Awaitable[BrowserContext]]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=None)) as client:
        yield client


@pytest.fixture
async def person(address: str, client: httpx.AsyncClient) -> MakePerson:
    """Signs up somebody new."""
    return lambda: Person.signed_up(address, client)


@pytest.fixture
async def writer(person: MakePerson) -> Person:
    """Somebody whom others read, without a page."""
    return await person()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests; each person has a context of their own in it."""
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def new_context(browser: Browser) -> AsyncIterator[NewContext]:
    """A browser with nothing in it yet."""
    async with AsyncExitStack() as stack:

        async def make(**options: object) -> BrowserContext:
            context = await browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})  # type: ignore[arg-type]
            stack.push_async_callback(context.close)
            return context

        yield make


@pytest.fixture
async def ann(system: System, new_context: NewContext) -> AsyncIterator[Visitor]:
    """Registered through the page, and live."""
    visitor = await Visitor.signed_up(await new_context(), system.address, "ann")
    yield visitor
    assert visitor.faults == []


@pytest.fixture
async def bob(system: System, new_context: NewContext) -> AsyncIterator[Visitor]:
    """Somebody else, in another browser."""
    visitor = await Visitor.signed_up(await new_context(), system.address, "bob")
    yield visitor
    assert visitor.faults == []
