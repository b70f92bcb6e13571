"""`python -m bench delay|resume|replay`: against a running system, by default the one of `make up`.

`store`, `tokens`, `scale`, `writes`, `peers`, `compare`, `soak` and `tables` have servers of their own (docs/performance.md).
"""

import argparse
from pathlib import Path

import uvloop

from bench import delay, replay, resume, store, tokens
from bench.compare.arguments import add_compare
from bench.scale import add_scale
from bench.writes import add_writes


def main() -> None:
    """Reads the command line and runs the bench it names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("delay", help="from commit to the reader, at a steady rate")
    one.add_argument("--address", default="http://localhost:8080")
    one.add_argument("--readers", type=int, default=200)
    one.add_argument("--authors", type=int, default=50)
    one.add_argument("--followed", type=int, default=20, help="how many of the authors each reader follows")
    one.add_argument("--rate", type=float, default=50, help="posts per second")
    one.add_argument("--seconds", type=float, default=20)
    two = commands.add_parser("resume", help="a node is killed under load")
    two.add_argument("--dir", type=Path, default=Path(".local"), help="where the system runs")
    two.add_argument("--readers", type=int, default=2000)
    two.add_argument("--authors", type=int, default=50)
    two.add_argument("--followed", type=int, default=5)
    two.add_argument("--rate", type=float, default=20)
    two.add_argument("--seconds", type=float, default=20)
    three = commands.add_parser("replay", help="a client that comes back after minutes, with MongoDB stopped")
    three.add_argument("--dir", type=Path, default=Path(".local"))
    three.add_argument("--authors", type=int, default=400)
    three.add_argument("--events", type=int, default=30_000)
    four = commands.add_parser("tokens", help="what HAProxy pays to check a token, seen for the first time and again")
    four.add_argument("--connections", type=int, default=5000)
    four.add_argument("--threads", type=int, default=1)
    five = commands.add_parser(
        "store", help="a storekeeper's batch, step by step, and feed pages, on servers of its own"
    )
    five.add_argument("--events", type=int, default=200_000, help="archived before anything is measured")
    five.add_argument("--batches", type=int, default=10)
    add_writes(commands)
    add_compare(commands)
    add_scale(commands)
    given = parser.parse_args()
    if "run" in given:
        given.run(given)
        return
    if given.command == "tokens":
        uvloop.run(tokens.run(given.connections, given.threads))
        return
    if given.command == "store":
        uvloop.run(store.run(store.Plan(given.events, given.batches)))
        return
    if given.command == "replay":
        uvloop.run(replay.run(replay.Plan(given.dir, given.authors, given.events)))
        return
    sizes = (given.readers, given.authors, given.followed, given.rate, given.seconds)
    if given.command == "delay":
        uvloop.run(delay.run(delay.Plan(given.address, *sizes)))
    else:
        uvloop.run(resume.run(resume.Plan(given.dir, *sizes)))


if __name__ == "__main__":
    main()
