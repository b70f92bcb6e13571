"""A MongoDB server: mongod from PATH, else SecantusDB (a separate server process; GPL-2), built from Rust or in Python."""

import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from local.install_debian import find_command, install_packages
from local.install_steps import InstallError, PersonNeeded, one_at_a_time, run, step

_PY = "SecantusDB==0.7.0b3"
_RS = ("secantus-mdb", "0.5.3-beta.196")
_VENV_WITHIN = 120
_PIP_WITHIN = 300
_BUILD_WITHIN = 3600


class Flavour(StrEnum):
    MONGOD = "mongod"
    RUST = "secantusd-rs"
    PYTHON = "secantusd-py"


@dataclass(frozen=True, slots=True)
class Mongo:
    path: Path
    flavour: Flavour


def ensure_mongo(software: Path, made_by: Flavour | None = None) -> Mongo:
    """The best there is on this machine; installs the Python one, in a venv of its own, if there is none.

    Data that exists stays with the server that made it, `made_by`: none of them reads another's files.
    """
    if found := _find(software, made_by):
        return found
    if made_by not in (None, Flavour.PYTHON):
        raise InstallError(
            f"the data was written by {made_by}, which is not there: install it, or `python -m local reset`"
        )
    with one_at_a_time(software, "mongo"):
        if found := _find(software, made_by):
            return found
        with step("mongo", f"installing {_PY} into a venv of its own"):
            _install_py(software)
    return Mongo(_python(software), Flavour.PYTHON)


def build_rust(software: Path) -> Path:
    """Builds the faster server from crates.io: about 5 minutes on 2 cores. It is used for data that is made from then on."""
    if shutil.which("cargo") is None:
        raise PersonNeeded("cargo is needed to build it: install Rust (Debian: apt-get install cargo), then try again")
    missing = [package for command, package in (("clang", "clang"), ("cmake", "cmake")) if not shutil.which(command)]
    if missing or not list(Path("/usr/lib").glob("llvm-*/lib/libclang*.so*")):
        install_packages(*missing, "libclang-dev")
    with one_at_a_time(software, "mongo-rs"), step("mongo", f"building {_RS[0]} {_RS[1]} (about 5 minutes)"):
        install = ("cargo", "install", _RS[0], "--version", _RS[1], "--ignore-rust-version", "--root")
        run((*install, str(software / "mongo-rs")), within=_BUILD_WITHIN)
    return _rust(software)


def _find(software: Path, made_by: Flavour | None) -> Mongo | None:
    places = {
        Flavour.MONGOD: find_command("mongod"),
        Flavour.RUST: _rust(software),
        Flavour.PYTHON: _python(software),
    }
    for flavour, path in places.items():
        if path is not None and path.exists() and made_by in (None, flavour):
            return Mongo(path, flavour)
    return None


def _rust(software: Path) -> Path:
    return software / "mongo-rs" / "bin" / "secantusd-rs"


def _python(software: Path) -> Path:
    return software / "mongo-py" / "bin" / "secantusd-py"


def _install_py(software: Path) -> None:
    # A venv cannot be moved: it is made in place, and its server's file appears last.
    venv = software / "mongo-py"
    shutil.rmtree(venv, ignore_errors=True)
    if uv := shutil.which("uv"):
        run((uv, "venv", "-q", "--python", sys.executable, str(venv)), within=_VENV_WITHIN)
        run((uv, "pip", "install", "-q", "--python", str(venv / "bin" / "python"), _PY), within=_PIP_WITHIN)
    else:
        run((sys.executable, "-m", "venv", str(venv)), within=_VENV_WITHIN)
        run((str(venv / "bin" / "python"), "-m", "pip", "install", "-q", _PY), within=_PIP_WITHIN)
