"""Makes tokens, and whatever looks like one."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PRIME, RSA_KID, SECRET_KID = "es-00000001", "rs-00000001", "hs-00000001"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Mint:
    """Signs anything at all. Its public keys are files in `directory`, by kid."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prime = ec.generate_private_key(ec.SECP256R1())
        self.stranger = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.secret = b"a secret that is at least as long as its hash is"
        self.publish(PRIME, self.prime)
        self.publish(RSA_KID, self.rsa)
        self.publish("p384-0000001", ec.generate_private_key(ec.SECP384R1()))
        (directory / f"{SECRET_KID}.hs256").write_bytes(self.secret + b"\n")
        (directory / "short.hs256").write_bytes(b"short")
        (directory / "junk.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        (directory.parent / "outside.hs256").write_bytes(self.secret)

    def publish(self, kid: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, form)
        (self.directory / f"{kid}.pem").write_bytes(pem)
        return pem

    def sign(self, signed: str, alg: str = "ES256", key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        if alg == "RS256":
            return self.rsa.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        if alg == "HS256":
            return hmac.digest(self.secret, signed.encode(), hashlib.sha256)
        r, s = decode_dss_signature((key or self.prime).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def raw(self, header: bytes, payload: bytes, alg: str = "ES256") -> str:
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64(self.sign(signed, alg))}"

    def good(self, uid: int = 7, *, alg: str = "ES256", kid: str = PRIME, **claims: object) -> str:
        return self.raw(dump({"alg": alg, "typ": "JWT", "kid": kid}), dump(claims_of(uid) | claims), alg)


def claims_of(uid: int = 7) -> dict[str, object]:
    now = int(time.time())
    who: dict[str, object] = {"uid": uid, "sid": str(uuid.uuid4()), "exp": now + 3600, "iat": now}
    return who | {"iss": "stickyfeed", "aud": "stickyfeed"}
