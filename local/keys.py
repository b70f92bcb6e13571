"""What only this system knows: passwords and the key pair for tokens, made at the first start."""

import itertools
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from local.setting import seconds

# Seconds beside a token's life: a process may still sign with the old key for a moment, and clocks differ.
_DROP_AFTER = 60
_TOKEN_LIFE = 3600


class Secrets:
    """Random words, each in a file of mode 600 under its name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __getitem__(self, name: str) -> str:
        """The word called `name`; made now if there is none yet. Letters, digits, `-` and `_` only."""
        file = self._directory / name
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()


def signing_key(keys: Path) -> Path:
    """The newest private key, as `private/<kid>.pem`, made now if there is none. Its public half lies in `public/`."""
    found = sorted((keys / "private").glob("*.pem"))
    return found[-1] if found else rotate(keys)


def rotate(keys: Path) -> Path:
    """Makes a key pair that tokens are signed with from now on; the API looks every second, the edge at the first token.

    The public half is there first. Older public keys go on counting until `drop_old`.
    """
    # Names sort by time: the last one signs.
    kid = f"key-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_private(keys / "public" / f"{kid}.pem", public.decode(), mode=0o644)
    file = keys / "private" / f"{kid}.pem"
    write_private(file, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    for old in (keys / "private").glob("*.pem"):
        if old.name < file.name:
            old.unlink()
    return file


def token_life() -> int:
    """How long the API's tokens are good for, in seconds, as the environment says. Raises WrongSetting."""
    return seconds("TOKEN_LIFE", _TOKEN_LIFE)


def drop_old(keys: Path, life: int) -> list[str]:
    """Deletes public keys whose last token has expired; their kids. `life` is how long a token is good for, in seconds."""
    public = sorted((keys / "public").glob("*.pem"))
    dropped = []
    for old, newer in itertools.pairwise(public):
        if time.time() > newer.stat().st_mtime + life + _DROP_AFTER:
            old.unlink()
            dropped.append(old.stem)
    return dropped


def write_private(file: Path, text: str, mode: int = 0o600) -> None:
    """Writes the file whole or not at all, with this mode, by default for its owner only, from the first moment."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    temporary.replace(file)
