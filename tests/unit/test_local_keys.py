"""Secrets are made once, and are for their owner alone."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from local.keys import Secrets, signing_key
from local.place import Place


def test_a_secret_stays_the_same_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    word = Secrets(tmp_path)["edge-secret"]

    assert Secrets(tmp_path)["edge-secret"] == word
    assert len(word) >= 16
    assert (tmp_path / "edge-secret").stat().st_mode & 0o777 == 0o600


def test_the_key_pair_is_one_pair_and_made_once(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "software")
    place.prepare()

    private = signing_key(place.keys)

    assert signing_key(place.keys) == private
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    public = load_pem_public_key((place.keys / "public" / private.name).read_bytes())
    assert load_pem_private_key(private.read_bytes(), None).public_key() == public


def test_a_socket_path_is_short_enough_in_a_deep_directory_too(tmp_path: Path) -> None:
    shallow, deep = Place(Path("/x"), tmp_path), Place(tmp_path / ("d" * 90), tmp_path)

    assert shallow.sockets == Path("/x/sockets")
    assert len(str(deep.sockets / "mysql-replica.sock")) < 108
    assert deep.sockets != Place(tmp_path / ("e" * 90), tmp_path).sockets
