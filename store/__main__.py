"""`python -m store`: one storekeeper, with its health on STOREKEEPER_BIND."""

from quart import Quart

from store.meters import Meters
from store.process import health, main, serve_until_sigterm
from store.settings import Settings
from store.storekeeper import Storekeeper


class StorekeeperSettings(Settings):
    """What the storekeeper alone is told."""

    storekeeper_bind: str = "127.0.0.1:8301"


async def run() -> None:
    """Runs until SIGTERM, or until the storekeeper dies."""
    settings = StorekeeperSettings.read()
    keeper = Storekeeper(settings, Meters())

    async def ready() -> dict[str, str]:
        return {} if keeper.state == "ready" else {"storekeeper": keeper.state}

    app = Quart(__name__)
    app.register_blueprint(health(ready))
    await serve_until_sigterm(app, settings.storekeeper_bind, keeper.run())


if __name__ == "__main__":
    main(run)
