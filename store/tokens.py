"""Access tokens: signed by the API, verified by the edge and once more by the API."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_SID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_TOKEN_BYTES = 4096


class TokenError(Exception):
    """The token opens nothing. `code` is token-missing, token-invalid or token-expired; the text never holds the token."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a verified token speaks for. `exp` is in seconds since 1970."""

    uid: int
    sid: str
    exp: int


class Signer:
    """Signs tokens with one private ES256 key; the key's file name without its ending is the `kid`."""

    def __init__(self, private_key: Path, issuer: str, audience: str, life: int) -> None:
        self._key = load_pem_private_key(private_key.read_bytes(), None)
        self._kid, self._issuer, self._audience, self._life = private_key.stem, issuer, audience, life

    def sign(self, uid: int, sid: str, *, now: int | None = None) -> tuple[str, int]:
        """A token for the session, and when it expires, in seconds since 1970."""
        iat = int(time.time()) if now is None else now
        exp = iat + self._life
        claims = {"uid": uid, "sid": sid, "iat": iat, "exp": exp, "iss": self._issuer, "aud": self._audience}
        return jwt.encode(claims, self._key, "ES256", {"kid": self._kid}), exp  # type: ignore[arg-type]


class Verifier:
    """Verifies tokens against a directory of public keys `<kid>.pem`; the key decides the algorithm, never the token."""

    def __init__(self, public_keys: Path, issuer: str, audience: str) -> None:
        self._issuer, self._audience = issuer, audience
        self._keys = {path.stem: _public_key(path) for path in sorted(public_keys.glob("*.pem"))}
        if not self._keys:
            raise FileNotFoundError(f"no public key <kid>.pem in {public_keys}: `make up` makes one; see TOKEN_KEYS")

    def verify(self, token: str, *, now: int | None = None) -> Identity:
        """Who the token speaks for. Raises TokenError unless signature, exp, nbf, iss, aud, uid and sid are all right."""
        at = int(time.time()) if now is None else now
        claims = self._claims(token)
        uid, sid, exp, nbf = claims.get("uid"), claims.get("sid"), claims.get("exp"), claims.get("nbf", 0)
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise TokenError("token-invalid", "the token was made by or for somebody else (iss, aud)")
        if type(uid) is not int or not 0 < uid < 2**53 or not isinstance(sid, str) or not _SID.fullmatch(sid):
            raise TokenError("token-invalid", "the token names no user and session (uid, sid)")
        if type(exp) is not int or type(nbf) is not int or nbf > at:
            raise TokenError("token-invalid", "the token has no expiry time or is not valid yet (exp, nbf)")
        if exp <= at:
            raise TokenError("token-expired", "the token has expired: refresh it or sign in again")
        return Identity(uid, sid, exp)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JWK Set (RFC 7517)."""
        keys = []
        for kid, (algorithm, key) in self._keys.items():
            jwk = RSAAlgorithm.to_jwk(key, True) if isinstance(key, RSAPublicKey) else ECAlgorithm.to_jwk(key, True)
            keys.append({**jwk, "kid": kid, "alg": algorithm, "use": "sig"})
        return {"keys": keys}

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError("token-invalid", f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            algorithm, key = self._keys[kid]  # type: ignore[index]
            options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
            return jwt.decode(token, key, [algorithm], options)  # type: ignore[arg-type]
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            raise TokenError("token-invalid", "the token is malformed, or its signature or key is not ours") from None


def _public_key(path: Path) -> tuple[str, EllipticCurvePublicKey | RSAPublicKey]:
    key = load_pem_public_key(path.read_bytes())
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256", key
    if isinstance(key, RSAPublicKey) and key.key_size >= 2048:
        return "RS256", key
    raise ValueError(f"{path}: neither an EC P-256 nor an RSA key of 2048 bits or more")
