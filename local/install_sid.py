"""Debian packages in a directory of their own, without changing anything on the host: sid's, whole, or the host's own release's."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from local.apt_sources import debian_sources
from local.install_steps import InstallError, run

_UPDATE_WITHIN = 180
_FETCH_WITHIN = 300
_UNPACK_WITHIN = 60
_HOST_STATUS = Path("/var/lib/dpkg/status")


def unpack(package: str, root: Path) -> None:
    """Fetches sid's package and all it needs, C library included, and unpacks it into `root`. Raises InstallError."""
    _unpack((package,), root, "sid", beside_host=False)


def unpack_beside(packages: Sequence[str], root: Path) -> None:
    """The same for packages of the host's own release: what the host has already is left out. Raises InstallError."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    _unpack(packages, root, codename, beside_host=True)


def _unpack(packages: Sequence[str], root: Path, suite: str, *, beside_host: bool) -> None:
    shutil.rmtree(root, ignore_errors=True)
    apt = root / "apt"
    for path in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial"):
        path.mkdir(parents=True)
    (apt / "status").write_text("")  # apt believes that nothing is installed, and so fetches everything that is needed
    (apt / "sources.list").write_text(_line(suite) + "\n")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": apt,
        "Dir::State::status": _HOST_STATUS if beside_host else apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    get = ("apt-get", "-q", "-y", *(word for key, value in options.items() for word in ("-o", f"{key}={value}")))
    run((*get, "update"), within=_UPDATE_WITHIN)
    run((*get, "--download-only", "install", *packages), within=_FETCH_WITHIN)
    for archive in sorted((apt / "cache" / "archives").glob("*.deb")):
        run(("dpkg", "-x", str(archive), str(root)), within=_UNPACK_WITHIN)
    shutil.rmtree(apt)


def _line(suite: str) -> str:
    """A line of sources.list for the suite, from the archive that this host already uses."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    found = debian_sources(files, codename)
    if not found:
        raise InstallError(f"this host has no source of Debian packages to take those of {suite} from")
    return found[0].line(suite)


def starter(script: Path, root: Path, program: str, *, try_with: str) -> Path:
    """Writes `script`, which runs the program with the loader and libraries in `root`; tries it with that one argument.

    The program sees the script's path as its own name: one that starts itself anew (a reload) gets the loader again.
    """
    loader = next((path for path in sorted(root.rglob("ld-linux*.so.*")) if path.is_file()), None)
    if loader is None or not (root / program).exists():
        raise InstallError(f"sid's packages have changed: no loader or no {program} in {root}")
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("*.so.*")}))
    temporary = script.with_name(f"{script.name}.new")
    temporary.write_text(
        f'#!/bin/sh\nexec "{loader}" --library-path "{libraries}" --argv0 "{script}" "{root / program}" "$@"\n'
    )
    temporary.chmod(0o755)
    run((str(temporary), try_with), within=20)
    temporary.replace(script)
    return script
