"""Makes every secret at the first start, and deals to each container the ones it needs, and no others.

Runs before all else: `python -m compose.deal_secrets`. With `rotate` it makes a new key for tokens besides; every run drops keys
whose last token has expired. The originals stay in a volume that nobody else mounts. Each
reader has a volume of its own, so files in it may be readable by all: server images read them as users of their own.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from local.certificate import certificate
from local.keys import Secrets, drop_old, rotate, signing_key

ORIGINALS, READERS = Path("/secrets/originals"), Path("/secrets/for")
KEYS_WHERE_MOUNTED = Path("/run/keys/private")
DATABASE = "stickyfeed"


def files(secrets: Secrets, environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Reader -> name -> text. Where the environment names a ProxySQL, the API goes through it."""
    password = secrets["mysql-password"]
    edge = {"edge_secret": secrets["edge-secret"]}

    def dsn(setting: str, usual: str) -> str:
        return f"mysql://{DATABASE}:{password}@{environment.get(setting) or usual}/{DATABASE}"

    return {
        "api": edge
        | {
            "mysql_primary": dsn("MYSQL_PRIMARY_AT", "mysql-primary:3306"),
            "mysql_replica": dsn("MYSQL_REPLICA_AT", "mysql-replica:3306"),
            "token_signing_key": str(KEYS_WHERE_MOUNTED),
        },
        "nodes": dict(edge),
        "edge": dict(edge),
        "mysql": {name: secrets[f"mysql-{name.replace('_', '-')}"] for name in ("password", "root", "replication")},
        "proxysql": {"proxysql.cnf": _proxysql(password, secrets["proxysql-admin"])},
    }


def _proxysql(password: str, admin: str) -> str:
    template = Template((Path(__file__).parent / "proxysql" / "proxysql.cnf").read_text())
    return template.substitute(PASSWORD=password, ADMIN_PASSWORD=admin)


def deal(originals: Path, readers: Path, environment: Mapping[str, str], *, rotating: bool = False) -> None:
    """What there is stays as it is; what is missing is made. Can be repeated."""
    keys = originals / "keys"
    for directory in (originals, keys / "private", keys / "public"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rotate(keys) if rotating else signing_key(keys)
    drop_old(keys, int(environment.get("TOKEN_LIFE") or 3600))
    dealt = files(Secrets(originals), environment)
    dealt["edge"]["edge.pem"] = certificate(originals / "edge.pem").read_text()
    # The public half before the private one: nothing may be signed that nobody can check.
    dealt["keys-public"] = {file.name: file.read_text() for file in (keys / "public").glob("*.pem")}
    dealt["keys-private"] = {key.name: key.read_text()}
    for reader, texts in dealt.items():
        for name, text in texts.items():
            _write(readers / reader / name, text)
        for gone in (readers / reader).glob("*.pem"):
            if gone.name not in texts:
                gone.unlink()


def _write(file: Path, text: str) -> None:
    """Whole or not at all: a container that starts meanwhile reads the old text or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.half")
    half.write_text(text)
    half.chmod(0o444)
    half.replace(file)


if __name__ == "__main__":
    deal(ORIGINALS, READERS, os.environ, rotating=sys.argv[1:] == ["rotate"])
