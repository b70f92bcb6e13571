"""The edge's decisions, as plain Lua without HAProxy."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "tests" / "unit" / "lua").glob("test_*.lua"))
PURE = sorted(path for path in (PROJECT / "haproxy").glob("*.lua") if path.name != "hook.lua")
_WITHIN = 60


def interpreters() -> list[str]:
    """Both languages that HAProxies are built with, where they are installed: 5.3 and 5.4."""
    found = {shutil.which(name): name for name in ("lua", "lua5.3", "lua5.4") if shutil.which(name)}
    real = {str(Path(path).resolve()) for path in found if path}
    return sorted(real) or ["lua5.4"]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    prime = ec.generate_private_key(ec.SECP256R1())
    made: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey] = {
        "es": prime,
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "rsa1024": rsa.generate_private_key(65537, 1024),  # noqa: S505
        "rsa2048": rsa.generate_private_key(65537, 2048),
        "rsa3072": rsa.generate_private_key(65537, 3072),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in made.items():
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, form)
        (directory / f"{name}.pem").write_bytes(pem)
    private = prime.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "private.pem").write_bytes(private)
    return directory


@pytest.mark.parametrize("lua", interpreters(), ids=lambda path: Path(path).name)
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_claim_of_the_lua_modules_holds(file: Path, lua: str, keys: Path) -> None:
    path = f"{PROJECT}/haproxy/?.lua;{PROJECT}/tests/unit/lua/?.lua"

    try:
        run = subprocess.run(
            [lua, str(file), str(keys)],
            env={"LUA_PATH": path},
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except FileNotFoundError:
        pytest.fail("no Lua to test the edge's decisions with: apt-get install lua5.4")

    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", run.stdout)


@pytest.mark.parametrize("file", PURE, ids=lambda path: path.name)
def test_a_decision_names_nothing_of_haproxy(file: Path) -> None:
    text = "\n".join(line.split("--")[0] for line in file.read_text().splitlines())

    assert not re.search(r"\b(core|txn|applet)\b|os\.|io\.", text)
