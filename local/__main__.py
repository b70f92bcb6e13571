"""`python -m local`: the whole system on this machine."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from local import commands
from local.child import tail_of
from local.control import NoAnswer
from local.install_steps import InstallError, PersonNeeded
from local.limits import UnknownLimits
from local.lock import AlreadyRunning
from local.place import NAMES, STREAM_PLACES, Place
from local.ports import NoPort
from local.setting import WrongSetting

_LOG_LINES = 20
_OF_NODES = {
    "drain": "no new users for a stream node, and its streams leave evenly; it goes on running",
    "fill": "a drained stream node takes its users again",
    "remove": "end a stream node for good",
}


def main() -> int:
    chosen = _parser().parse_args()
    place = Place.at(chosen.dir)
    try:
        return _run(chosen, place)
    except PersonNeeded as error:
        print(error, file=sys.stderr)
        return 2
    except (InstallError, NoPort, AlreadyRunning, UnknownLimits, WrongSetting, NoAnswer) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has read enough; nothing more must be written, at exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; what runs goes on running: `python -m local status`, `down`", file=sys.stderr)
        return 130


def _run(chosen: argparse.Namespace, place: Place) -> int:
    match chosen.command:
        case "up":
            from local.up import up  # here and below: the drivers take a second to import, and `status` needs none

            return asyncio.run(up(place))
        case "down":
            return asyncio.run(commands.down(place))
        case "reset":
            return asyncio.run(commands.reset(place))
        case "status":
            return asyncio.run(commands.status(place, as_json=chosen.json))
        case "scale":
            return asyncio.run(commands.scale(place, chosen.count))
        case "start" | "stop" | "drain" | "fill" | "remove":
            return asyncio.run(commands.act(place, chosen.command, chosen.name))
        case "rotate-key":
            return commands.rotate_key(place)
        case "logs":
            return _logs(place, chosen.name, follow=chosen.follow)
        case "install":
            return _install(place, chosen.what)
        case _:
            from local.daemon import supervise
            from local.site import Site

            asyncio.run(supervise(Site.at(place, chosen.front, chosen.stats, chosen.tls)))
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--dir", type=Path, help="where its data lives (else LOCAL_DIR, else .local)")
    every = list(dict.fromkeys((*NAMES, *STREAM_PLACES)))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="install what is missing, start everything, print the address")
    commands.add_parser("down", help="end everything")
    commands.add_parser("reset", help="end everything and delete the data")
    commands.add_parser("status", help="every process").add_argument("--json", action="store_true")
    commands.add_parser("rotate-key", help="sign tokens with a new key from now on")
    logs = commands.add_parser("logs", help="the last lines of every log, or of one")
    logs.add_argument("name", nargs="?", choices=[*every, "supervisor"], metavar="NAME")
    logs.add_argument("-f", "--follow", action="store_true", help="and what comes after")
    for verb in ("start", "stop"):
        commands.add_parser(verb, help=f"{verb} one process").add_argument("name", choices=every, metavar="NAME")
    scale = commands.add_parser("scale", help="so many stream nodes, without a reload")
    scale.add_argument("what", choices=["stream"])
    scale.add_argument("count", type=int, choices=range(1, len(STREAM_PLACES) + 1), metavar="N")
    for verb, what in _OF_NODES.items():
        commands.add_parser(verb, help=what).add_argument("name", choices=STREAM_PLACES, metavar="NODE")
    install = commands.add_parser(
        "install", help="only install what is missing, or what tests need besides, or `mongo-rs`"
    )
    install.add_argument("what", nargs="?", choices=["mongo-rs", "tests"])
    supervise = commands.add_parser("supervise")  # what `up` starts
    for port in ("front", "stats", "tls"):
        supervise.add_argument(port, type=int)
    return parser


def _logs(place: Place, name: str | None, *, follow: bool) -> int:
    more = (node for node in STREAM_PLACES if node not in NAMES and place.log(node).exists())
    names = [name] if name else [*NAMES, *more, "supervisor"]
    if follow:
        os.execvp("tail", ["tail", "-n", str(_LOG_LINES), "-F", *(str(place.log(one)) for one in names)])  # noqa: S606
    for one in names:
        print(f"{one}: {place.log(one)}\n{tail_of(place.log(one), _LOG_LINES)}")
    return 0


def _install(place: Place, what: str | None) -> int:
    from local.install_debian import ensure_command
    from local.install_mongo import build_rust
    from local.install_page import ensure_page
    from local.plan import specs
    from local.site import Site

    if what == "mongo-rs":
        print(f"  mongo          {build_rust(place.software)}: used from now on, here after `reset`")
        return 0
    if what == "tests":
        ensure_command(("lua5.4", "lua5.3", "lua"), "lua5.4")
        ensure_command(("haproxy",), "haproxy")  # Debian's own beside the one that runs: the edge is tested on both
        ensure_command(("chromium", "chromium-browser", "google-chrome"), "chromium")
    site = Site.at(place)
    specs(site)
    ensure_page(place.software, site.project / "frontend")
    print(f"everything is installed; what Debian has not is in {place.software}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
