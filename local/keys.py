"""What only this system knows: passwords and the key pair for tokens, made at the first start."""

import itertools
import os
import re
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
_LONGEST_KID = 64
_COUNTED = re.compile(r"(.+_)(\d{4})")


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


class DoesNotSign(Exception):
    """A key was made, and another one signs; the text names both."""


def signing_key(keys: Path) -> Path:
    """The private key that signs, as `private/<kid>.pem`, made now if there is none. Its public half lies in `public/`."""
    return _signing(keys) or rotate(keys)


def rotate(keys: Path) -> Path:
    """Makes a key pair that tokens are signed with from now on; the API looks every second, the edge at the first token.

    The public half is there first. Older public keys go on counting until `drop_old`. Raises DoesNotSign, and ValueError where
    there can be no name after the last one.
    """
    known = [*(keys / "private").glob("*.pem"), *(keys / "public").glob("*")]
    last = max((f"{file.stem}.pem" for file in known), default="").removesuffix(".pem")
    kid = _after(last, f"key-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_private(keys / "public" / f"{kid}.pem", public.decode(), mode=0o644)
    file = keys / "private" / f"{kid}.pem"
    write_private(file, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    for old in (keys / "private").glob("*.pem"):
        if old.name < file.name:
            old.unlink()
    signs = _signing(keys)
    if signs != file:
        raise DoesNotSign(f"{file.stem} was made, and {signs.stem if signs else 'no key'} signs")
    return file


def _signing(keys: Path) -> Path | None:
    """As the API chooses (store/keys.py): the last by name."""
    return max((keys / "private").glob("*.pem"), default=None)


def _after(last: str, kid: str) -> str:
    """This kid, or where it would not be the last by name one that is: clocks are put back, and keys come from other hosts."""
    if f"{kid}.pem" > f"{last}.pem":
        return kid
    counted = _COUNTED.fullmatch(last)
    kid = f"{counted[1]}{int(counted[2]) + 1:04}" if counted and counted[2] < "9999" else f"{last}_0001"
    if len(kid) > _LONGEST_KID:
        raise ValueError(f"there is no name after {last}, which is too long: take that key away first")
    return kid


def token_life() -> int:
    """How long the API's tokens are good for, in seconds, as the environment says. Raises WrongSetting."""
    return seconds("TOKEN_LIFE", _TOKEN_LIFE)


def drop_old(keys: Path, life: int) -> list[str]:
    """Deletes public keys whose last token has expired; their kids. `life` is how long a token is good for, in seconds.

    The key that signs stays, and so does one that may sign after it.
    """
    signs = _signing(keys)
    public = sorted(file for file in (keys / "public").glob("*.pem") if signs and file.name <= signs.name)
    now = time.time()
    dropped = []
    for old, newer in itertools.pairwise(public):
        if newer.stat().st_mtime > now:
            os.utime(
                newer, (now, now)
            )  # of a clock that was ahead: a day of it must not make a leaked key count a day longer
        elif now > newer.stat().st_mtime + life + _DROP_AFTER:
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
