"""The page: built with Node when its sources are newer than what was built."""

from collections.abc import Iterator
from pathlib import Path

from local.install_debian import find_command, install_packages, version_of
from local.install_steps import InstallError, one_at_a_time, run, step

_NODE = (18,)
_PASSED = Path("dist", "sizes.txt")  # written last, by a build that has kept within its bounds
_FETCH_WITHIN = 300
_BUILD_WITHIN = 180


def ensure_page(software: Path, frontend: Path) -> None:
    """Leaves an up-to-date `frontend/dist`. Does nothing where there are no sources."""
    if not is_stale(frontend):
        return
    with one_at_a_time(software, "page"):
        if not is_stale(frontend):
            return
        node = find_command("node", "nodejs")
        if node is None or version_of(node, "--version") < _NODE or find_command("npm") is None:
            install_packages("nodejs", "npm")
        with step("page", "building frontend/dist"):
            if _needs_packages(frontend):
                run(("npm", "ci", "--no-audit", "--no-fund", "--silent"), within=_FETCH_WITHIN, cwd=frontend)
            sizes = run(("npm", "run", "--silent", "build"), within=_BUILD_WITHIN, cwd=frontend)
        for line in sizes.splitlines():
            print(f"  {'':<14} {line}")
    if not (frontend / _PASSED).exists():
        raise InstallError(f"`npm run build` made no {frontend / _PASSED}")


def is_stale(frontend: Path) -> bool:
    """Whether something that the page is built from is newer than the built page."""
    if not (frontend / "package.json").exists():
        return False
    built = frontend / _PASSED
    return not built.exists() or any(path.stat().st_mtime > built.stat().st_mtime for path in _sources(frontend))


def _sources(frontend: Path) -> Iterator[Path]:
    for path in frontend.iterdir():
        if path.name in ("dist", "node_modules") or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from (
                inside
                for inside in path.rglob("*")
                if inside.is_file() and "dist" not in inside.relative_to(path).parts
            )
        else:
            yield path


def _needs_packages(frontend: Path) -> bool:
    """npm leaves a copy of the lock file when it has installed from it."""
    installed = frontend / "node_modules" / ".package-lock.json"
    lock = frontend / "package-lock.json"
    return not installed.exists() or (lock.exists() and lock.stat().st_mtime > installed.stat().st_mtime)
