"""`python -m bench peers`: gets the servers to compare with, into a directory of their own; nothing is installed on the host."""

import os
import shutil
import sys
from pathlib import Path

from bench.compare.peer import Missing
from local.install_debian import find_command
from local.install_sid import unpack_beside
from local.install_steps import InstallError, one_at_a_time, run, step
from local.place import Place

STARLETTE = ("sse-starlette==3.0.2", "starlette==0.48.0", "uvicorn==0.37.0", "uvloop==0.21.0", "httptools==0.6.4")
_INSTALL_WITHIN = 300


def install() -> None:
    """Gets all that can be had, and says what cannot."""
    for name, get in (
        ("Nchan", nchan),
        ("Pushpin", pushpin),
        ("sse-starlette", starlette),
        ("Centrifugo", centrifugo),
        ("Mercure", mercure),
    ):
        try:
            get()
            print(f"  {name:<14} is there")
        except Missing as error:
            print(f"  {name:<14} is not there: {error}")


def nchan() -> tuple[Path, Path]:
    """nginx and the module."""
    root = _debian("nchan", "nginx", "libnginx-mod-nchan")
    module, ours = root / "usr/lib/nginx/modules/ngx_nchan_module.so", root / "nchan.so"
    if not ours.exists():
        # The module insists on making this directory; a name of the same length makes it one below nginx's prefix.
        ours.write_bytes(module.read_bytes().replace(b"/var/lib/nginx/body\0", b"nchan-body-requests\0"))
    return root / "usr/sbin/nginx", ours


def pushpin() -> Path:
    """The directory in which Pushpin's files are."""
    return _debian("pushpin", "pushpin", "zurl")


def libraries(root: Path) -> dict[str, str]:
    """The environment in which programs in that directory find their libraries."""
    found = sorted({str(path.parent) for path in root.rglob("*.so.*")})
    return {"LD_LIBRARY_PATH": ":".join(found), "PATH": f"{root / 'usr/bin'}:{os.environ['PATH']}"}


def starlette() -> Path:
    """A Python of its own with sse-starlette and uvicorn."""
    software = Place.at().software
    kept = software / "sse-starlette"
    with one_at_a_time(software, "sse-starlette"):
        if not (kept / "ready").exists():
            try:
                with step("sse-starlette", f"{STARLETTE[0]} on {STARLETTE[2]} from PyPI"):
                    shutil.rmtree(kept, ignore_errors=True)
                    run((sys.executable, "-m", "venv", str(kept)), within=_INSTALL_WITHIN)
                    run((str(kept / "bin/pip"), "install", "-q", *STARLETTE), within=_INSTALL_WITHIN)
                    (kept / "ready").touch()
            except InstallError as error:
                raise Missing(str(error)) from error
    return kept / "bin/python"


def centrifugo() -> Path:
    return _named("centrifugo", "CENTRIFUGO")


def mercure() -> Path:
    return _named("mercure", "MERCURE")


def _named(command: str, variable: str) -> Path:
    """A program that no registry has: from the environment, else from PATH."""
    named = os.environ.get(variable)
    found = Path(named) if named else find_command(command)
    if found is None or not found.exists():
        raise Missing(f"no `{command}` on PATH, and {variable} names none")
    return found


def _debian(name: str, *packages: str) -> Path:
    """Unpacked packages of the host's own Debian."""
    software = Place.at().software
    root = software / f"peer-{name}"
    with one_at_a_time(software, f"peer-{name}"):
        if not (root / "ready").exists():
            try:
                with step(name, f"fetching Debian's {' '.join(packages)} into a directory of their own"):
                    unpack_beside(packages, root)
                    (root / "ready").touch()
            except (InstallError, OSError) as error:
                shutil.rmtree(root, ignore_errors=True)
                raise Missing(f"needs Debian or Ubuntu: {error}") from error
    return root
