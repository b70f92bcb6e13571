"""Keys come and go as files while a process runs."""

import os
import time
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from local.keys import drop_old, rotate, signing_key
from store.tokens import Signer, TokenError, Verifier


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for kind in ("private", "public"):
        (tmp_path / kind).mkdir()
    signing_key(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks again after some seconds looks again at once."""
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))


def signer(keys: Path) -> Signer:
    return Signer(keys / "private", "i", "a", 3600)


def verifier(keys: Path) -> Verifier:
    return Verifier(keys / "public", "i", "a")


def sign(by: Signer, uid: int) -> str:
    return by.sign(uid, str(uuid4()))[0]


def kids(of: Verifier) -> list[str]:
    return [key["kid"] for key in of.keys.jwks()["keys"]]


def test_a_running_process_signs_with_the_new_key_and_verifies_with_both(keys: Path) -> None:
    signs, verifies = signer(keys), verifier(keys)
    before = sign(signs, 1)

    new = rotate(keys)
    after = sign(signs, 2)

    assert [verifies.verify(token).uid for token in (before, after)] == [1, 2]
    assert jwt.get_unverified_header(after)["kid"] == kids(verifies)[-1] == new.stem
    assert len(kids(verifies)) == 2
    assert [file.name for file in (keys / "private").iterdir()] == [new.name]


def test_the_old_key_is_dropped_when_its_last_token_has_expired_and_no_sooner(keys: Path) -> None:
    verifies, old = verifier(keys), signing_key(keys)
    token = sign(signer(keys), 1)
    new = rotate(keys)
    public = keys / "public" / new.name

    os.utime(public, (time.time() - 3600, time.time() - 3600))
    kept = drop_old(keys, 3600)
    still = verifies.verify(token).uid
    os.utime(public, (time.time() - 3700, time.time() - 3700))
    dropped = drop_old(keys, 3600)

    assert (kept, still, dropped) == ([], 1, [old.stem])
    assert kids(verifies) == [new.stem]
    with pytest.raises(TokenError):
        verifies.verify(token)


def test_keys_made_one_after_the_other_sign_in_that_order(keys: Path) -> None:
    made = [rotate(keys).stem for _ in range(5)]

    assert made == sorted(set(made))
    assert signing_key(keys).stem == made[-1]


@pytest.mark.parametrize(
    "last", ["key-20280101T000000000000Z", "zz", "key-2028", "z_0001", "z_9999", "key-20280101T000000000000Z_0009"]
)
def test_a_new_key_signs_whatever_name_the_last_one_has(keys: Path, last: str) -> None:
    """The clock was ahead when it was made, or it is another host's."""
    leaked = signing_key(keys)
    for kind in ("private", "public"):
        (keys / kind / leaked.name).rename(keys / kind / f"{last}.pem")
    before_it = keys / "public" / f"{last}-2.pem"  # by name of the file: `-` is before `.`
    before_it.write_bytes((keys / "public" / f"{last}.pem").read_bytes())
    signs = signer(keys)

    made = [rotate(keys).stem for _ in range(3)]

    assert jwt.get_unverified_header(sign(signs, 7))["kid"] == made[-1]
    assert made == sorted(set(made))
    assert [file.stem for file in (keys / "private").iterdir()] == [made[-1]]
    assert verifier(keys).verify(sign(signs, 7)).uid == 7


def test_the_key_that_signs_is_not_dropped_whatever_else_is_there(keys: Path) -> None:
    """What `rotate` without effect left behind: the last by name signs, though the other one is newer."""
    signs = signing_key(keys)
    for kid in ("a", "key-2000"):
        (keys / "public" / f"{kid}.pem").write_bytes((keys / "public" / signs.name).read_bytes())
    (keys / "public" / "z.pem").write_bytes((keys / "public" / signs.name).read_bytes())  # may sign one day
    for file in (keys / "public").iterdir():
        os.utime(file, (0, 0))

    assert drop_old(keys, 3600) == ["a", "key-2000"]
    assert sorted(file.stem for file in (keys / "public").iterdir()) == [signs.stem, "z"]


def test_a_clock_that_was_ahead_makes_no_old_key_count_for_longer(keys: Path) -> None:
    old, new = signing_key(keys), rotate(keys)
    public = keys / "public" / new.name
    os.utime(public, (time.time() + 10**8, time.time() + 10**8))

    assert drop_old(keys, 3600) == []
    os.utime(public, (public.stat().st_mtime - 3700, public.stat().st_mtime - 3700))
    assert drop_old(keys, 3600) == [old.stem]


def test_a_name_that_nothing_can_come_after_is_refused(keys: Path) -> None:
    (keys / "public" / f"{'z' * 64}.pem").write_text("somebody's")
    before = signing_key(keys)

    with pytest.raises(ValueError, match="no name after"):
        rotate(keys)

    assert signing_key(keys) == before


def test_a_broken_new_key_changes_nothing(keys: Path) -> None:
    signs, verifies = signer(keys), verifier(keys)
    (keys / "private" / "z.pem").write_text("no key")
    (keys / "public" / "z.pem").write_text("no key")

    token = sign(signs, 7)

    assert verifies.verify(token).uid == 7
    assert len(kids(verifies)) == 1


def test_a_kid_never_means_another_key_than_at_first(keys: Path) -> None:
    verifies, old = verifier(keys), signing_key(keys)
    token = sign(signer(keys), 7)
    assert verifies.verify(token).uid == 7
    new = rotate(keys)

    (keys / "public" / old.name).write_bytes((keys / "public" / new.name).read_bytes())

    with pytest.raises(TokenError):
        verifies.verify(token)


@pytest.mark.parametrize("kid", ["", ".", "..", "../private/x", "/etc/passwd", "a/b", "a\0", "k" * 65, 7, None, ["a"]])
def test_a_kid_is_a_name_and_no_path(keys: Path, kid: object) -> None:
    with pytest.raises(KeyError):
        verifier(keys).keys[kid]
