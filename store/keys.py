"""The keys of tokens as files, which may come and go while a process runs: that is how keys rotate."""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

log = logging.getLogger(__name__)

# As long as the edge takes (haproxy/keys.lua).
RECHECK = 5.0
_KID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_SHORTEST_SECRET = 32


@dataclass(slots=True)
class Key:
    """The algorithm belongs to the key, never to the token. `checked` is when its file was last read, on time.monotonic()."""

    algorithm: str
    material: EllipticCurvePublicKey | RSAPublicKey | bytes
    text: bytes
    checked: float


class PublicKeys:
    """`<kid>.pem` (public) and `<kid>.hs256` (a shared secret) in a directory.

    A file put there counts at once, one taken away counts RECHECK seconds longer at most; a kid never changes its key.
    """

    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError where there is no key at all, and ValueError for a key that is none of ours."""
        self._directory = directory
        self._known: dict[str, Key] = {}
        self._first: dict[str, bytes] = {}
        files = sorted([*directory.glob("*.pem"), *directory.glob("*.hs256")])
        if not files:
            raise FileNotFoundError(f"no public key <kid>.pem in {directory}: `make up` makes one; see TOKEN_KEYS")
        for file in files:
            _read(file)

    def __getitem__(self, kid: object) -> Key:
        """Raises KeyError if there is no such key (any more)."""
        if not isinstance(kid, str) or not _KID.fullmatch(kid):
            raise KeyError("kid")
        now = time.monotonic()
        known = self._known.get(kid)
        if known is not None and now < known.checked + RECHECK:
            return known
        key = self._look_up(kid, known, now)
        if key is None:
            self._known.pop(kid, None)
            raise KeyError("kid")
        self._known[kid] = key
        return key

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public ones as a JWK Set (RFC 7517)."""
        keys = []
        for file in sorted(self._directory.glob("*.pem")):
            try:
                key = self[file.stem]
            except KeyError:
                continue  # it has just gone, or was never one
            keys.append({**_jwk(key.material), "kid": file.stem, "alg": key.algorithm, "use": "sig"})
        return {"keys": keys}

    def _look_up(self, kid: str, known: Key | None, now: float) -> Key | None:
        for file in (self._directory / f"{kid}.pem", self._directory / f"{kid}.hs256"):
            try:
                algorithm, material, text = _read(file)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.error("%s: %s", file, error)
                return None
            if self._first.setdefault(kid, text) != text:
                log.error("%s is another key than at first: a kid never changes its key", file)
                return None
            if known is not None:
                known.checked = now
                return known
            return Key(algorithm, material, text, now)
        return None


class SigningKey:
    """The private ES256 key that new tokens are signed with: a file, or the last by name in a directory. The stem is the kid."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, TypeError or ValueError if there is none that can be read."""
        self._path = path
        self._checked = time.monotonic()
        self.kid, self.key = self._load(self._newest())

    def refresh(self) -> None:
        """Takes the newest key, looked for again after a second. One that can't be read is logged, and the old one goes on."""
        now = time.monotonic()
        if now < self._checked + 1:
            return
        self._checked = now
        try:
            newest = self._newest()
            if newest.stem != self.kid:
                self.kid, self.key = self._load(newest)
                log.info("tokens are signed with %s from now on", self.kid)
        except (OSError, TypeError, ValueError) as error:
            log.error("no new signing key from %s, %s goes on: %s", self._path, self.kid, error)

    def _newest(self) -> Path:
        if not self._path.is_dir():
            return self._path
        found = sorted(self._path.glob("*.pem"))
        if not found:
            raise FileNotFoundError(f"no private key <kid>.pem in {self._path}")
        return found[-1]

    @staticmethod
    def _load(file: Path) -> tuple[str, EllipticCurvePrivateKey]:
        key = load_pem_private_key(file.read_bytes(), None)
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise ValueError(f"{file} is no EC P-256 key, which ES256 needs")
        return file.stem, key


def _jwk(key: EllipticCurvePublicKey | RSAPublicKey | bytes) -> dict[str, Any]:
    assert not isinstance(key, bytes), "a shared secret is never shown"
    return RSAAlgorithm.to_jwk(key, True) if isinstance(key, RSAPublicKey) else ECAlgorithm.to_jwk(key, True)


def _read(file: Path) -> tuple[str, EllipticCurvePublicKey | RSAPublicKey | bytes, bytes]:
    text = file.read_bytes()
    if file.suffix == ".hs256":
        secret = text.rstrip(b"\r\n")
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"{file}: a secret for HS256 has {_SHORTEST_SECRET} bytes or more")
        return "HS256", secret, text
    key = load_pem_public_key(text)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256", key, text
    if isinstance(key, RSAPublicKey) and key.key_size >= 2048:
        return "RS256", key, text
    raise ValueError(f"{file}: neither an EC P-256 nor an RSA key of 2048 bits or more")
