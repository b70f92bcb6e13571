"""HAProxy 3.1 or later: from PATH, else Debian sid's in a directory of its own, else the host's older one."""

import platform
import shutil
from pathlib import Path

from local.apt_sources import debian_sources
from local.install_debian import ensure_command, find_command, version_of
from local.install_steps import InstallError, one_at_a_time, run, step

_WANTED = (3, 1)
_UPDATE_WITHIN = 180
_FETCH_WITHIN = 300
_UNPACK_WITHIN = 60


def ensure_haproxy(software: Path) -> Path:
    """A haproxy of version 3.1 or later if one can be had; else what Debian has (2.6: without the second door)."""
    if found := _find(software):
        return found
    with one_at_a_time(software, "haproxy"):
        if found := _find(software):
            return found
        try:
            with step("haproxy", "fetching Debian sid's package into a directory of its own"):
                return _install_sid(software / "haproxy-sid")
        except InstallError as error:
            shutil.rmtree(software / "haproxy-sid", ignore_errors=True)
            host = ensure_command(("haproxy",), "haproxy")
            version = ".".join(map(str, version_of(host, "-v")))
            print(
                f"  haproxy        no 3.1 to be had ({str(error).splitlines()[0]}); using the host's {version}",
                flush=True,
            )
            # Remembered, so that not every start tries again; deleting the link does.
            (software / "haproxy").unlink(missing_ok=True)
            (software / "haproxy").symlink_to(host)
            return software / "haproxy"


def _find(software: Path) -> Path | None:
    on_path = find_command("haproxy")
    if on_path and version_of(on_path, "-v") >= _WANTED:
        return on_path
    kept = software / "haproxy"
    return kept if kept.exists() else None


def _install_sid(prefix: Path) -> Path:
    """Unpacks the package and all it needs, C library included, and leaves `software/haproxy` to start it."""
    lists, cache, root = prefix / "apt" / "lists", prefix / "apt" / "cache", prefix / "root"
    for path in (lists / "partial", cache / "archives" / "partial", root):
        path.mkdir(parents=True, exist_ok=True)
    status, sources = prefix / "apt" / "status", prefix / "apt" / "sources.list"
    status.write_text("")  # apt believes that nothing is installed, and so fetches everything that is needed
    sources.write_text(_sid_line() + "\n")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State": prefix / "apt",
        "Dir::State::lists": lists,
        "Dir::State::status": status,
        "Dir::Cache": cache,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    apt = ("apt-get", "-q", "-y", *(word for key, value in options.items() for word in ("-o", f"{key}={value}")))
    run((*apt, "update"), within=_UPDATE_WITHIN)
    run((*apt, "--download-only", "install", "haproxy"), within=_FETCH_WITHIN)
    for package in sorted((cache / "archives").glob("*.deb")):
        run(("dpkg", "-x", str(package), str(root)), within=_UNPACK_WITHIN)
    shutil.rmtree(prefix / "apt")
    return _starter(prefix.parent / "haproxy", root)


def _sid_line() -> str:
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    found = debian_sources(files, codename)
    if not found:
        raise InstallError("this host has no source of Debian packages to take sid's from")
    return found[0].line("sid")


def _starter(script: Path, root: Path) -> Path:
    """A script that runs it with its own loader and libraries, and under its own name: a reload executes that again."""
    loader = next((path for path in sorted(root.rglob("ld-linux*.so.*")) if path.is_file()), None)
    program = root / "usr" / "sbin" / "haproxy"
    if loader is None or not program.exists():
        raise InstallError(f"sid's packages have changed: no loader or no haproxy in {root}")
    libraries = sorted({str(path.parent) for path in root.rglob("*.so.*")})
    temporary = script.with_name("haproxy.new")
    temporary.write_text(
        f'#!/bin/sh\nexec "{loader}" --library-path "{":".join(libraries)}" --argv0 "{script}" "{program}" "$@"\n'
    )
    temporary.chmod(0o755)
    if version_of(temporary, "-v") < _WANTED:
        raise InstallError(f"sid's haproxy in {root} does not start here")
    temporary.replace(script)
    return script
