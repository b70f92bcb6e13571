"""The command line of the comparison."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from bench.compare.catalogue import PEERS
from bench.compare.command import Plan, compare
from bench.compare.install import install
from bench.compare.report import PAGE, report
from bench.compare.results import FILE
from bench.compare.scenario import SCENARIOS, Position
from bench.compare.soak import FILE as SOAK
from bench.compare.soak import Plan as SoakPlan
from bench.compare.soak import soak

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_compare(commands: "Commands") -> None:
    """Adds `compare`, `peers` and `tables`; each sets `run`, which takes what was given."""
    peers = commands.add_parser("peers", help="get the servers to compare with")
    peers.set_defaults(run=lambda _: install())
    one = commands.add_parser("compare", help="our node and other servers, in turns")
    one.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="SERVER", help=", ".join(PEERS))
    one.add_argument(
        "--scenarios",
        nargs="+",
        choices=SCENARIOS,
        default=["broadcast-2000"],
        metavar="SCENARIO",
        help=", ".join(SCENARIOS),
    )
    how = one.add_mutually_exclusive_group()
    how.add_argument("--alone", action="store_true", help="with no HAProxy before them")
    how.add_argument("--edge", action="store_true", help="behind the project's own HAProxy, with tokens: our node only")
    one.add_argument("--rounds", type=int, default=1)
    one.add_argument("--results", type=Path, default=FILE)
    one.set_defaults(run=_compare)
    three = commands.add_parser("soak", help="many streams under load for minutes")
    three.add_argument("--server", choices=PEERS, default="wire", metavar="SERVER", help=", ".join(PEERS))
    three.add_argument("--streams", type=int, default=9000)
    three.add_argument("--minutes", type=float, default=10)
    three.add_argument("--results", type=Path, default=SOAK)
    three.set_defaults(run=_soak)
    two = commands.add_parser("tables", help="what `compare` has measured")
    two.add_argument("--results", type=Path, default=FILE)
    two.add_argument("--write", action="store_true", help=f"into {PAGE}, with pictures beside it")
    two.set_defaults(run=lambda given: report(given.results, PAGE if given.write else None))


def _compare(given: argparse.Namespace) -> None:
    position = Position.ALONE if given.alone else Position.EDGE if given.edge else Position.BARE
    plan = Plan(tuple(given.peers), tuple(given.scenarios), (position,), given.rounds, given.results.absolute())
    uvloop.run(compare(plan))


def _soak(given: argparse.Namespace) -> None:
    uvloop.run(soak(SoakPlan(given.server, given.streams, given.minutes, given.results.absolute())))
