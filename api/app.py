"""The API as a whole: its routes over what it has opened."""

from contextlib import AsyncExitStack

from quart import Quart

from api import accounts, feed, friends, health, posts, sessions, users
from api.bodies import MAX_BYTES
from api.documents import add_documents
from api.errors import add_error_handlers
from api.identity import guard
from api.meters import measure
from api.migrate import look_after
from api.page import add_page
from api.parts import Parts, open_parts
from api.settings import ApiSettings
from api.tidy import tidy
from api.untold_ends import repeat_untold_ends
from store.app import App
from store.process import serve_until_sigterm

_BODY_SECONDS = 10


def create_app(parts: Parts) -> Quart:
    """Every route, with the rules that hold for all of them."""
    app = App(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    app.config["BODY_TIMEOUT"] = _BODY_SECONDS
    app.extensions["parts"] = parts
    measure(app)
    guard(app)
    add_error_handlers(app)
    for resource in (accounts, sessions, users, friends, posts, feed, health):
        app.register_blueprint(resource.blueprint)
    add_documents(app)
    add_page(app)
    return app


async def run() -> None:
    """Serves until SIGTERM."""
    settings = ApiSettings.read()
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings))
        stack.push_async_callback(parts.outbox.flush)
        tasks = (
            look_after(parts.database),
            tidy(parts.database),
            parts.outbox.run(),
            parts.outbox.watch(),
            parts.numbers.watch(),
            repeat_untold_ends(parts),
        )
        await serve_until_sigterm(create_app(parts), settings.api_bind, *tasks)
