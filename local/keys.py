"""What only this system knows: passwords and the key pair for tokens, made at the first start."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


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
    """The private key that tokens are signed with, as `private/<kid>.pem`. Its public half lies in `public/`."""
    found = sorted((keys / "private").glob("*.pem"))
    if found:
        return found[-1]
    kid = f"es-{secrets.token_hex(4)}"
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (keys / "public" / f"{kid}.pem").write_bytes(public)
    file = keys / "private" / f"{kid}.pem"
    write_private(file, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return file


def write_private(file: Path, text: str) -> None:
    """Writes the file whole or not at all, readable by its owner only, from the first moment."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    temporary.replace(file)
