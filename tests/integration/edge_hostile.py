"""Every way of being wrong that we know for a token, signed by the real key wherever that is possible."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.edge_tokens import PRIME, Mint, b64, claims_of, dump


def _headers(mint: Mint) -> Iterator[tuple[str, str]]:
    """Headers signed by the real key that say what they must not."""
    good = {"alg": "ES256", "typ": "JWT", "kid": PRIME}
    changes: dict[str, dict[str, object]] = {
        "alg none": {"alg": "none"},
        "alg in lower case": {"alg": "es256"},
        "alg of another key": {"alg": "RS256"},
        "alg ES384": {"alg": "ES384"},
        "alg PS256": {"alg": "PS256"},
        "alg a list": {"alg": ["ES256"]},
        "alg null": {"alg": None},
        "typ JWS": {"typ": "at+jwt"},
        "typ a number": {"typ": 1},
        "kid unknown": {"kid": "es-99999999"},
        "kid empty": {"kid": ""},
        "kid a number": {"kid": 1},
        "kid a list": {"kid": [PRIME]},
        "kid a path": {"kid": f"./{PRIME}"},
        "kid out of the directory": {"kid": f"../public/{PRIME}"},
        "kid absolute": {"kid": "/etc/passwd"},
        "kid with zero byte": {"kid": f"{PRIME}\0"},
        "kid with its suffix": {"kid": f"{PRIME}.pem"},
        "kid a directory": {"kid": "."},
        "kid of junk": {"kid": "junk"},
        "kid of a curve that is not ours": {"kid": "p384-0000001"},
        "kid of a variable": {"kid": "txn.secret"},
        "kid long": {"kid": "k" * 65},
        "kid with percent": {"kid": "%2e%2e"},
        "crit": {"crit": ["exp"], "exp": 1},
        "b64 false": {"b64": False},
        "jwk": {"jwk": {"kty": "EC"}},
        "jku": {"jku": "http://127.0.0.1/keys"},
        "x5u": {"x5u": "http://127.0.0.1/keys"},
        "cty": {"cty": "JWT"},
        "zip": {"zip": "DEF"},
    }
    for name, change in changes.items():
        yield f"header: {name}", mint.raw(dump(good | change), dump(claims_of()))
    for name in ("alg", "kid"):
        yield f"header: no {name}", mint.raw(dump({k: v for k, v in good.items() if k != name}), dump(claims_of()))
    texts: dict[str, bytes] = {
        "a list": dump([good]),
        "empty": b"",
        "not JSON": b"header",
        "two kids": b'{"alg":"ES256","kid":"es-99999999","kid":"%s"}' % PRIME.encode(),
        "two kids, one escaped": b'{"alg":"ES256","kid":"x","\\u006bid":"%s"}' % PRIME.encode(),
        "text behind": dump(good) + b"{}",
        "a zero byte behind": dump(good) + b"\0",
        "invalid UTF-8": b'{"alg":"ES256","kid":"%s","typ":"JWT\xff"}' % PRIME.encode(),
        "byte order mark": b"\xef\xbb\xbf" + dump(good),
        "UTF-16": json.dumps(good).encode("utf-16"),
        "a comma too many": dump(good)[:-1] + b",}",
        "single quotes": dump(good).replace(b'"', b"'"),
    }
    for name, text in texts.items():
        yield f"header: {name}", mint.raw(text, dump(claims_of()))


def _claims(mint: Mint) -> Iterator[tuple[str, str]]:
    """Claims signed by the real key that are of the wrong type, value or form."""
    now = int(time.time())
    header = dump({"alg": "ES256", "typ": "JWT", "kid": PRIME})
    wrong: dict[str, tuple[object, ...]] = {
        "uid": (0, -1, 7.0, 7.5, "7", 2**53, 2**64, 10**30, True, None, [7], {"id": 7}),
        "sid": ("", "x", 7, None, str(uuid.uuid4()).upper(), str(uuid.uuid4()) + "\n", uuid.uuid4().hex, ["x"]),
        "exp": (str(now + 60), now + 60.5, 0, -1, None, True, [now + 60], 2**63),
        "iat": (str(now), now + 0.5, None, -1, True),
        "nbf": (now + 60, str(now), now - 0.5, None, [now], 2**62),
        "iss": ("other", "stickyfeed ", "StickyFeed", "", None, 1, ["stickyfeed"]),
        "aud": ("other", "stickyfeed\0", "", None, 1, ["stickyfeed"], ["stickyfeed", "other"]),
    }
    for name, values in wrong.items():
        for value in values:
            yield f"claim: {name} {value!r}"[:60], mint.raw(header, dump(claims_of() | {name: value}))
        if name != "nbf":
            left = {k: v for k, v in claims_of().items() if k != name}
            yield f"claim: no {name}", mint.raw(header, dump(left))
    whole = dump(claims_of())
    texts: dict[str, bytes] = {
        "a list": b"[" + whole + b"]",
        "a string": dump(whole.decode()),
        "empty": b"",
        "cut short": whole[:-1],
        "text behind": whole + b"x",
        "a second object": whole + b"{}",
        "two uids": whole[:-1] + b',"uid":8}',
        "two uids, one escaped": whole[:-1] + b',"\\u0075id":8}',
        "uid in octal": whole.replace(b'"uid":7', b'"uid":007'),
        "uid with plus": whole.replace(b'"uid":7', b'"uid":+7'),
        "uid with exponent": whole.replace(b'"uid":7', b'"uid":7e0'),
        "uid in hex": whole.replace(b'"uid":7', b'"uid":0x7'),
        "uid minus zero": whole.replace(b'"uid":7', b'"uid":-0'),
        "uid NaN": whole.replace(b'"uid":7', b'"uid":NaN'),
        "nested deep": whole[:-1] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}",
        "invalid UTF-8": whole[:-1] + b',"x":"\xc3"}',
        "overlong UTF-8": whole[:-1] + b',"x":"\xc0\xaf"}',
        "a surrogate in UTF-8": whole[:-1] + b',"x":"\xed\xa0\x80"}',
        "a lone surrogate": whole[:-1] + b',"x":"\\ud800"}',
        "a control character": whole[:-1] + b',"x":"\n"}',
        "a comment": whole[:-1] + b"/**/}",
        "an unknown escape": whole[:-1] + b',"x":"\\x41"}',
    }
    for name, text in texts.items():
        yield f"claims: {name}", mint.raw(header, text)


def _signatures(mint: Mint, good: str) -> Iterator[tuple[str, str]]:
    """The header and claims of a good token under a signature, or in a form, that is not one."""
    signed, _, signature = good.rpartition(".")
    header, payload = (base64.urlsafe_b64decode(part + "==") for part in signed.split("."))
    raw = base64.urlsafe_b64decode(signature + "==")
    stranger = mint.sign(signed, key=mint.stranger)
    der = mint.prime.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    pem = (mint.directory / f"{PRIME}.pem").read_bytes()
    yield "signature: of a stranger", f"{signed}.{b64(stranger)}"
    yield "signature: of other claims", f"{b64(header)}.{b64(dump(claims_of(8)))}.{signature}"
    yield "signature: empty", f"{signed}."
    yield "signature: missing", signed
    yield "signature: zero", f"{signed}.{b64(bytes(64))}"
    yield "signature: DER", f"{signed}.{b64(der)}"
    yield "signature: a byte short", f"{signed}.{b64(raw[:-1])}"
    yield "signature: a byte long", f"{signed}.{b64(raw + bytes(1))}"
    yield "signature: r and s led by zeros", f"{signed}.{b64(bytes(1) + raw[:32] + bytes(1) + raw[32:])}"
    yield "signature: twice", f"{signed}.{b64(raw + raw)}"
    yield "signature: one bit turned", f"{signed}.{b64(raw[:-1] + bytes([raw[-1] ^ 1]))}"
    swapped = f"{b64(dump({'alg': 'HS256', 'typ': 'JWT', 'kid': PRIME}))}.{b64(payload)}"
    yield "signature: HS256 with the public key", f"{swapped}.{b64(hmac.digest(pem, swapped.encode(), 'sha256'))}"
    swapped = f"{b64(dump({'alg': 'HS256', 'typ': 'JWT', 'kid': 'short'}))}.{b64(payload)}"
    yield "signature: HS256 with a short secret", f"{swapped}.{b64(hmac.digest(b'short', swapped.encode(), 'sha256'))}"
    outside = dump({"alg": "HS256", "typ": "JWT", "kid": "../outside"})
    yield "signature: a key from outside the directory", mint.raw(outside, payload, "HS256")
    none = f"{b64(dump({'alg': 'none'}))}.{b64(payload)}"
    yield "signature: none, with nothing", f"{none}."
    yield "signature: none, with a kid", f"{b64(dump({'alg': 'none', 'kid': PRIME}))}.{b64(payload)}."
    yield "form: padded", "=.".join(good.split(".")) + "="
    yield "form: signature padded", good + "=="
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(good[-1])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield "form: bits left over", good[:-1] + alphabet[last | 1]
    yield "form: junk behind", good + "!"
    yield "form: a fourth part", good + "." + signature
    yield "form: five parts", f"{good}.a.b"
    yield "form: a dot before", "." + good
    yield "form: two dots", good.replace(".", "..", 1)
    yield "form: standard alphabet", signed + "." + base64.b64encode(b"\xff" * 64).decode().rstrip("=")
    yield "form: no token at all", "x"
    yield "form: dots only", ".."
    yield "form: huge", mint.good(filler="x" * 4096)
    yield "form: one more than the most", good + "A" * (4097 - len(good))
    yield "form: quoted", f'"{good}"'
    yield "form: percent-encoded", good.replace(".", "%2e")


def hostile(mint: Mint, good: str) -> Iterator[tuple[str, str]]:
    """Each broken token with its name, some of them made of this good one; every one of them must be `token-invalid`."""
    yield from _headers(mint)
    yield from _claims(mint)
    yield from _signatures(mint, good)
