"""`python -m api`: one API process, on API_BIND; `python -m api reconcile`: a command beside it, for a MySQL that was set back."""

import argparse
import asyncio
import logging
import sys

from api.app import run
from api.reconcile import CannotReconcile, reconcile
from api.settings import ApiSettings
from store.process import main
from store.settings import SettingsError
from store.topic import WrongTopic


def command() -> None:
    """The command if it is given, else the API."""
    parser = argparse.ArgumentParser(prog="python -m api", description="an API process, or a command beside it")
    parser.add_argument(
        "command", nargs="?", choices=["reconcile"], help="put the numbers of MySQL above the archive's"
    )
    if parser.parse_args().command is None:
        main(run)
        return
    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(reconcile(ApiSettings.read(), print))
    except (CannotReconcile, WrongTopic) as error:
        sys.exit(f"not done: {error}")
    except SettingsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command again goes on")


if __name__ == "__main__":
    command()
