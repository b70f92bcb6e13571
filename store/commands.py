"""What a person asks of the store: dead letters, and rebuilding."""

import argparse
import asyncio
from collections.abc import Callable

from store.archive import ArchiveUnavailable
from store.broker import BrokerUnavailable
from store.dead_letters import Letter, read_letters, redrive
from store.rebuild import CannotRebuild, rebuild_archive, rebuild_cache
from store.settings import Settings
from store.timelines import Unknown

Say = Callable[[str], None]
_SHOWN = 120


def parser() -> argparse.ArgumentParser:
    """Without a command the process is a storekeeper."""
    made = argparse.ArgumentParser(
        prog="python -m store", description="a storekeeper, or a command beside those that run"
    )
    commands = made.add_subparsers(dest="command")
    dead = commands.add_parser("dead", help="records that were no events").add_subparsers(dest="what", required=True)
    dead.add_parser("list", help="all of them, a line each")
    show = dead.add_parser("show", help="one of them, whole")
    show.add_argument("number", type=int)
    again = dead.add_parser("redrive", help="put them back into the events topic, each once")
    again.add_argument("number", type=int, nargs="*", help="which; without any: all that were not")
    rebuild = commands.add_parser("rebuild", help="make it anew while everything runs")
    rebuild.add_argument("what", choices=["archive", "cache"], help="MongoDB from Kafka, or Redis from MongoDB")
    return made


async def obey(given: argparse.Namespace, settings: Settings, say: Say = print) -> int:
    """Carries out the command; its exit code: 0, or 1 and a line that says why not."""
    try:
        if given.command == "rebuild":
            await (rebuild_archive if given.what == "archive" else rebuild_cache)(settings, say)
            return 0
        return await _dead(given, settings, say)
    except (ArchiveUnavailable, BrokerUnavailable, CannotRebuild, TimeoutError, Unknown) as error:
        say(f"not done: {error or 'Kafka has stopped answering'}")
        return 1
    except asyncio.CancelledError:
        say("interrupted: the same command again goes on")
        raise


async def _dead(given: argparse.Namespace, settings: Settings, say: Say) -> int:
    letters = await read_letters(settings)
    by_number = {letter.number: letter for letter in letters}
    wanted = given.number if given.what == "redrive" else [given.number] if given.what == "show" else []
    if unknown := [number for number in wanted if number not in by_number]:
        say(f"there is no dead letter {unknown[0]}: `python -m store dead list` shows those there are")
        return 1
    if given.what == "show":
        _show(by_number[given.number], say)
    elif given.what == "redrive":
        chosen = [by_number[number] for number in wanted] or [letter for letter in letters if not letter.again]
        for line in await redrive(settings, chosen):
            say(line)
    else:
        for letter in letters:
            done = "again " if letter.again else "      "
            say(f"{letter.number:>6}  {letter.at:%Y-%m-%d %H:%M:%S}  {done}{letter.place}  {letter.reason:.{_SHOWN}}")
    say(f"{len(letters)} dead letters, {sum(letter.again for letter in letters)} of them driven again before")
    return 0


def _show(letter: Letter, say: Say) -> None:
    for name, value in (("from", letter.place), ("reason", letter.reason), ("key", repr(letter.record.key))):
        say(f"{name:8}{value}")
    if letter.cut:
        say(letter.cut)
    for header, told in letter.record.headers:
        say(f"header  {header}: {told!r}")
    say(f"value   {letter.record.value!r}")
