"""What the host has or can get: commands on PATH, else Debian packages."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.install_steps import InstallError, PersonNeeded, one_at_a_time, run, step

_UPDATE_WITHIN = 180
_INSTALL_WITHIN = 600
# Debian keeps servers here, and a person's PATH often does not.
_POLICY = Path("/usr/sbin/policy-rc.d")
_MARK = "stickyfeed: while packages are installed; may be deleted"
_ALSO = "/usr/local/sbin:/usr/sbin:/sbin"


def find_command(*names: str) -> Path | None:
    """The first of these commands that is on PATH, or where Debian puts servers."""
    path = f"{os.environ.get('PATH', '')}:{_ALSO}"
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)


def ensure_command(names: tuple[str, ...], *packages: str) -> Path:
    """One of these commands; installs the Debian packages that bring the first of them if there is none."""
    if found := find_command(*names):
        return found
    install_packages(*packages)
    if found := find_command(*names):
        return found
    raise InstallError(f"{' '.join(packages)} is installed and brought none of {', '.join(names)}: install one by hand")


def install_packages(*packages: str) -> None:
    """Installs Debian packages as root; raises PersonNeeded with the command otherwise. Starts none of their services."""
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise PersonNeeded(f"install these with your system's package manager (Debian's names): {' '.join(packages)}")
    if os.geteuid() != 0:
        raise PersonNeeded(f"run this, then try again:\n    sudo apt-get update && sudo {command}")
    # Services would otherwise start by themselves and take the usual ports.
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with (
        step("debian", f"apt-get install {' '.join(packages)}"),
        one_at_a_time(Path("/run/lock"), "stickyfeed-packages"),
        _no_services(),
    ):
        options = ("-q", "-y", "-o", "DPkg::Lock::Timeout=120")
        try:
            run(("apt-get", *options, "update"), within=_UPDATE_WITHIN, env=quiet)
        except InstallError as error:
            # One broken third-party source must not stop what the others have.
            print(f"  debian         apt-get update: {str(error).splitlines()[0]}; going on", flush=True)
        run(("apt-get", *options, "install", "--no-install-recommends", *packages), within=_INSTALL_WITHIN, env=quiet)


@contextmanager
def _no_services() -> Iterator[None]:
    """While it is open no package starts a service: policy-rc.d says 101, forbidden. One that is there is left alone."""
    ours = not _POLICY.exists() or _MARK in _POLICY.read_text()  # ours from a run that was killed, too
    if ours:
        _POLICY.write_text(f"#!/bin/sh\n# {_MARK}\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink(missing_ok=True)


def version_of(command: Path, *arguments: str) -> tuple[int, ...]:
    """The first dotted number that the command prints about itself; () if it prints none or fails."""
    try:
        found = re.search(r"\d+(?:\.\d+)+", run((str(command), *arguments), within=20))
    except InstallError:
        return ()
    return tuple(int(part) for part in found.group().split(".")) if found else ()
