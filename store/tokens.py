"""Access tokens: signed by the API, verified by the edge and once more by the API."""

import base64
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from store.keys import PublicKeys, SigningKey

_SID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SIGNATURE_ONLY: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
_NOTHING: Any = {"verify_signature": False}
MAX_TOKEN_BYTES = 4096
_MAX_DEPTH = 4


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
    """Signs tokens with the newest private ES256 key there is; the key's file name without its ending is the `kid`."""

    def __init__(self, private_key: Path, issuer: str, audience: str, life: int) -> None:
        self._signing = SigningKey(private_key)
        self._issuer, self._audience, self._life = issuer, audience, life

    def sign(self, uid: int, sid: str, *, now: int | None = None) -> tuple[str, int]:
        """A token for the session, and when it expires, in seconds since 1970."""
        iat = int(time.time()) if now is None else now
        exp = iat + self._life
        claims = {"uid": uid, "sid": sid, "iat": iat, "exp": exp, "iss": self._issuer, "aud": self._audience}
        self._signing.refresh()
        return jwt.encode(claims, self._signing.key, "ES256", {"kid": self._signing.kid}), exp


class Verifier:
    """Verifies tokens as strictly as the edge does, with the same keys. The key decides the algorithm, never the token."""

    def __init__(self, keys: Path, issuer: str, audience: str) -> None:
        self._issuer, self._audience = issuer, audience
        self.keys = PublicKeys(keys)

    def verify(self, token: str, *, now: int | None = None) -> Identity:
        """Who the token speaks for. Raises TokenError unless signature, exp, nbf, iat, iss, aud, uid and sid are all right."""
        at = int(time.time()) if now is None else now
        claims = self._claims(token)
        uid, sid = claims.get("uid"), claims.get("sid")
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise TokenError("token-invalid", "the token was made by or for somebody else (iss, aud)")
        if type(uid) is not int or not 0 < uid < 2**53 or not isinstance(sid, str) or not _SID.fullmatch(sid):
            raise TokenError("token-invalid", "the token names no user and session (uid, sid)")
        exp, _, nbf = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
        if nbf > at:
            raise TokenError("token-invalid", "the token is not valid yet (nbf)")
        if exp <= at:
            raise TokenError("token-expired", "the token has expired: refresh it or sign in again")
        return Identity(uid, sid, exp)

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES or not _FORM.fullmatch(token):
            raise TokenError(
                "token-invalid", f"the token is not three parts of base64url, at most {MAX_TOKEN_BYTES} bytes in all"
            )
        try:
            head, body, _ = (_decoded(part) for part in token.split("."))
            header, claims = _object(head), _object(body)
            if not set(header) <= {"alg", "typ", "kid"} or header.get("typ", "JWT") != "JWT":
                raise ValueError("header")
            key = self.keys[header["kid"]]
            jwt.decode(token, key.material, [key.algorithm], _SIGNATURE_ONLY)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            raise TokenError("token-invalid", "the token is malformed, or its signature or key is not ours") from None
        return claims


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whether or not it is true: never for letting anybody in. Nothing if it is no token."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options=_NOTHING)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims


def _seconds(claims: dict[str, Any], name: str) -> int:
    """A time in seconds since 1970; only nbf may be missing."""
    value = claims.get(name, 0 if name == "nbf" else None)
    if type(value) is not int or not 0 <= value < 2**53:
        raise TokenError("token-invalid", f"the token has no {name}, or a wrong one")
    return value


def _decoded(part: str) -> bytes:
    """The bytes of a part; only in the one form that stands for them (RFC 4648, 3.5)."""
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise ValueError("not canonical")
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice and every number is one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    value = json.loads(raw.decode(), object_pairs_hook=once, parse_constant=refuse)
    if not isinstance(value, dict) or _depth(value) > _MAX_DEPTH:
        raise ValueError("not an object, or nested too deep")
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0
