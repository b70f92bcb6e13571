"""HAProxy: what HAPROXY names, else 3.1 or later from PATH, else Debian sid's in a place of its own, else the host's older one."""

import os
import shutil
from pathlib import Path

from local.install_debian import ensure_command, find_command, version_of
from local.install_sid import starter, unpack
from local.install_steps import InstallError, one_at_a_time, step

_WANTED = (3, 1)


def ensure_haproxy(software: Path) -> Path:
    """A haproxy of version 3.1 or later if one can be had; else what Debian has (2.6: without the second door)."""
    if found := _find(software):
        return found
    with one_at_a_time(software, "haproxy"):
        return _find(software) or _install(software)


def _find(software: Path) -> Path | None:
    if chosen := os.environ.get("HAPROXY"):
        return Path(chosen)
    on_path = find_command("haproxy")
    if on_path and version_of(on_path, "-v") >= _WANTED:
        return on_path
    kept = software / "haproxy"
    return kept if kept.exists() else None


def _install(software: Path) -> Path:
    root = software / "haproxy-sid"
    try:
        with step("haproxy", "fetching Debian sid's package into a directory of its own"):
            unpack("haproxy", root)
            return starter(software / "haproxy", root, "usr/sbin/haproxy", try_with="-v")
    except InstallError as error:
        shutil.rmtree(root, ignore_errors=True)
        host = ensure_command(("haproxy",), "haproxy")
        version = ".".join(map(str, version_of(host, "-v")))
        print(
            f"  {'haproxy':<14} no 3.1 to be had ({str(error).splitlines()[-1].strip()}); using the host's {version}",
            flush=True,
        )
        # Kept as the answer, so that not every start tries again; deleting the link does.
        (software / "haproxy").unlink(missing_ok=True)
        (software / "haproxy").symlink_to(host)
        return software / "haproxy"
