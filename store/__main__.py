"""`python -m store`: one storekeeper, with its health on STOREKEEPER_BIND; `dead` and `rebuild`: commands beside it."""

import asyncio
import logging
import sys

from quart import Quart

from store.app import App
from store.commands import obey, parser
from store.meters import Meters
from store.process import health, main, serve_until_sigterm
from store.settings import Settings, SettingsError
from store.storekeeper import Storekeeper


class StorekeeperSettings(Settings):
    """What the storekeeper alone is told."""

    storekeeper_bind: str = "127.0.0.1:8301"


async def run() -> None:
    """Runs until SIGTERM, or until the storekeeper dies."""
    settings = StorekeeperSettings.read()
    keeper = Storekeeper(settings, Meters())
    await serve_until_sigterm(health_of(keeper), settings.storekeeper_bind, keeper.run())


def health_of(keeper: Storekeeper) -> Quart:
    """What it says of itself: not ready, and why, while it waits for something."""

    async def ready() -> dict[str, str]:
        return {} if keeper.state == "ready" else {"storekeeper": keeper.state}

    app = App(__name__)
    app.register_blueprint(health(ready))
    return app


def command() -> None:
    """A command if one is given, else the storekeeper."""
    given = parser().parse_args()
    if given.command is None:
        main(run)
        return
    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        sys.exit(asyncio.run(obey(given, Settings.read())))
    except SettingsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    command()
