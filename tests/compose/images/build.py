"""Stand-ins for the official images, made of packages of Debian, PyPI, npm and Maven: for machines that cannot pull.

An image that is there under the official name already stays, whoever made it.
"""

import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from local.install_kafka import ensure_kafka
from local.place import Place

HERE = Path(__file__).parent
BASE = "stickyfeed-test/debian:sid"
# In this order: some are made from others.
IMAGES = {
    "python:3.12-slim": "python",
    "node:22-slim": "node",
    "redis:7.4": "redis",
    "haproxy:3.2-alpine": "haproxy",
    "mysql:8.4": "mysql",
    "mongo:8.0": "mongo",
    "apache/kafka:4.1.0": "kafka",
}
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_BUILD_WITHIN = 600


def build_missing() -> None:
    """Builds what is not there; says what it builds, and how long it took."""
    missing = [name for name in IMAGES if not _is_there(name)]
    if missing and not _is_there(BASE):
        _timed(BASE, _build_base)
    for name in missing:
        _timed(name, partial(_build, name))


def _build(name: str) -> None:
    more: tuple[str, ...] = ()
    if name.startswith("apache/kafka"):
        jars = ensure_kafka(Place.at().software).jars
        more = ("--build-context", f"jars={jars[0].parent}")
    # The host's own network: a build needs what the host reaches, and nothing listens meanwhile.
    _docker("build", "--quiet", "--network", "host", *more, "--tag", name, str(HERE / IMAGES[name]))


def _build_base() -> None:
    """Debian sid, which trusts the certificates that this host trusts."""
    if shutil.which("debootstrap") is None:
        raise RuntimeError("debootstrap is needed to make stand-in images: apt-get install debootstrap")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        _run("debootstrap", "--variant=minbase", "--include=ca-certificates", "sid", str(root))
        shutil.copy(_CERTIFICATES, root / _CERTIFICATES[1:])
        # A mirror that has stood still for some weeks is good enough for this.
        (root / "etc/apt/apt.conf.d/90no-expiry").write_text('Acquire::Check-Valid-Until "false";\n')
        names = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")
        environment = " ".join(f"{name}={_CERTIFICATES}" for name in names)
        archive = Path(directory) / "root.tar"
        _run("tar", "-C", str(root), "-cf", str(archive), ".")
        _docker("import", "--change", f"ENV {environment}", "--platform", _platform(), str(archive), BASE)


def _platform() -> str:
    return {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]


def _is_there(name: str) -> bool:
    return subprocess.run(("docker", "image", "inspect", name), check=False, capture_output=True).returncode == 0


def _docker(*arguments: str) -> None:
    _run("docker", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_BUILD_WITHIN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _timed(name: str, build: Callable[[], None]) -> None:
    print(f"  {name:20} building ...", flush=True)
    began = time.monotonic()
    build()
    print(f"  {name:20} done in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    build_missing()
