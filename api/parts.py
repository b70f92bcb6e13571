"""What requests work with: opened once, before the first of them, and closed in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from quart import current_app

from api.actions import Actions
from api.database import Database
from api.numbers import Numbers
from api.outbox import Outbox
from api.passwords import Passwords
from api.settings import ApiSettings
from api.tries import Limit, Purpose, Tries
from store.archive import open_archive
from store.broker import Publisher
from store.feed import Feed
from store.sessions import Sessions
from store.settings import SettingsError
from store.timelines import Wrote, open_redis
from store.tokens import Signer, Verifier


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that outlives a request."""

    settings: ApiSettings
    database: Database
    numbers: Numbers
    outbox: Outbox
    actions: Actions
    passwords: Passwords
    signer: Signer
    verifier: Verifier
    sessions: Sessions
    feed: Feed
    tries: Tries


def parts() -> Parts:
    """Those of the app that serves this request."""
    return cast("Parts", current_app.extensions["parts"])


@asynccontextmanager
async def open_parts(settings: ApiSettings, publisher: Publisher | None = None) -> AsyncIterator[Parts]:
    """No server need be there yet. Raises SettingsError if the keys can't be read. `publisher` is there for tests."""
    try:
        signer = Signer(settings.token_signing_key, settings.token_issuer, settings.token_audience, settings.token_life)
        verifier = Verifier(settings.token_keys, settings.token_issuer, settings.token_audience)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"TOKEN_SIGNING_KEY or TOKEN_KEYS: {error}") from error
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(settings))
        archive = await stack.enter_async_context(open_archive(settings))
        feed = Feed(await stack.enter_async_context(open_redis(settings)), archive)
        database = await stack.enter_async_context(Database(settings, Wrote(redis)))
        publisher = await stack.enter_async_context(publisher or Publisher(settings))
        passwords = await stack.enter_async_context(Passwords())
        outbox = Outbox(database, publisher)
        numbers = Numbers(database, archive)
        actions = Actions(database, outbox, numbers)
        tries = Tries(redis, limits_of(settings))
        sessions = Sessions(redis, "primary")
        yield Parts(settings, database, numbers, outbox, actions, passwords, signer, verifier, sessions, feed, tries)


def limits_of(settings: ApiSettings) -> dict[Purpose, Limit]:
    """How often each thing may be tried."""
    of_a_name = Limit(settings.limit_tries, settings.limit_tries_window, "this name was tried too often, wait a little")
    of_a_session = Limit(
        settings.limit_refresh,
        settings.limit_refresh_window,
        "this session was renewed too often, wait a little",
    )
    return {
        Purpose.SIGN_IN: of_a_name,
        Purpose.SIGN_UP: of_a_name,
        Purpose.LEAVE: of_a_name,
        Purpose.REFRESH: of_a_session,
    }
