"""What the host has or can get: commands on PATH, else Debian packages."""

import os
import re
import shutil
from pathlib import Path

from local.install_steps import InstallError, PersonNeeded, run, step

_UPDATE_WITHIN = 180
_INSTALL_WITHIN = 600
# Debian keeps servers here, and a person's PATH often does not.
_ALSO = "/usr/local/sbin:/usr/sbin:/sbin"


def find_command(*names: str) -> Path | None:
    """The first of these commands that is on PATH, or where Debian puts servers."""
    path = f"{os.environ.get('PATH', '')}:{_ALSO}"
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)


def ensure_command(names: tuple[str, ...], package: str) -> Path:
    """One of these commands; installs the Debian package that has the first of them if there is none."""
    if found := find_command(*names):
        return found
    install_packages(package)
    if found := find_command(*names):
        return found
    raise InstallError(
        f"Debian's package {package} is installed and has none of {', '.join(names)}: install one by hand"
    )


def install_packages(*packages: str) -> None:
    """Installs Debian packages as root; raises PersonNeeded with the command otherwise. Starts none of their services."""
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise PersonNeeded(f"install these with your system's package manager (Debian's names): {' '.join(packages)}")
    if os.geteuid() != 0:
        raise PersonNeeded(f"run this, then try again:\n    sudo apt-get update && sudo {command}")
    # Services of a package would start by themselves and take the usual ports; 101 forbids it (policy-rc.d's rule).
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with step("debian", f"apt-get install {' '.join(packages)}"), _no_services():
        options = ("-q", "-y", "-o", "DPkg::Lock::Timeout=120")
        try:
            run(("apt-get", *options, "update"), within=_UPDATE_WITHIN, env=quiet)
        except InstallError as error:
            # One broken third-party source must not stop what the others have.
            print(f"  debian         apt-get update: {str(error).splitlines()[0]}; going on", flush=True)
        run(("apt-get", *options, "install", "--no-install-recommends", *packages), within=_INSTALL_WITHIN, env=quiet)


class _no_services:
    """While it is open, no package starts a service (/usr/sbin/policy-rc.d; one that is there already is left alone)."""

    _policy = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self._ours = not self._policy.exists()
        if self._ours:
            self._policy.write_text("#!/bin/sh\nexit 101\n")
            self._policy.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._policy.unlink(missing_ok=True)


def version_of(command: Path, *arguments: str) -> tuple[int, ...]:
    """The first dotted number that the command prints about itself; () if it prints none or fails."""
    try:
        found = re.search(r"\d+(?:\.\d+)+", run((str(command), *arguments), within=20))
    except InstallError:
        return ()
    return tuple(int(part) for part in found.group().split(".")) if found else ()
