"""`python -m bench delay`: against a running system, by default the one of `make up`."""

import argparse

import uvloop

from bench import delay


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
    given = parser.parse_args()
    plan = delay.Plan(given.address, given.readers, given.authors, given.followed, given.rate, given.seconds)
    uvloop.run(delay.run(plan))


if __name__ == "__main__":
    main()
