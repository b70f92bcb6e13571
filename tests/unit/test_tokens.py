"""G8: the API's own check of a token refuses whatever the edge refuses."""

import time
from pathlib import Path

import pytest

from local.keys import signing_key
from store.tokens import Identity, Signer, TokenError, Verifier
from tests.integration.edge_hostile import hostile
from tests.integration.edge_tokens import PRIME, RSA_KID, SECRET_KID, Mint

SID = "0191a9d0-0000-7000-8000-000000000001"


@pytest.fixture
def mint(tmp_path: Path) -> Mint:
    (tmp_path / "public").mkdir()
    return Mint(tmp_path / "public")


@pytest.fixture
def verifier(mint: Mint) -> Verifier:
    for broken in ("junk.pem", "p384-0000001.pem", "short.hs256"):
        (mint.directory / broken).unlink()
    return Verifier(mint.directory, "stickyfeed", "stickyfeed")


@pytest.mark.parametrize(("alg", "kid"), [("ES256", PRIME), ("RS256", RSA_KID), ("HS256", SECRET_KID)])
def test_a_good_token_says_who_it_speaks_for(mint: Mint, verifier: Verifier, alg: str, kid: str) -> None:
    exp = int(time.time()) + 60

    assert verifier.verify(mint.good(41, alg=alg, kid=kid, exp=exp, sid=SID)) == Identity(41, SID, exp)


def test_every_token_that_the_edge_refuses_is_refused(mint: Mint, verifier: Verifier) -> None:
    passed = []
    for name, token in dict(hostile(mint, mint.good())).items():
        try:
            verifier.verify(token if isinstance(token, str) else token.decode("latin1"))
            passed.append(name)
        except TokenError as error:
            assert token == "" or str(token) not in str(error)

    assert passed == []


def test_a_token_is_over_in_the_second_in_which_it_expires(mint: Mint, verifier: Verifier) -> None:
    token = mint.good(7, exp=2_000_000_000)

    assert verifier.verify(token, now=1_999_999_999).uid == 7
    with pytest.raises(TokenError) as expired:
        verifier.verify(token, now=2_000_000_000)
    assert expired.value.code == "token-expired"


def test_what_the_signer_signs_is_verified_and_the_keys_are_public(tmp_path: Path) -> None:
    for kind in ("private", "public"):
        (tmp_path / kind).mkdir()
    private = signing_key(tmp_path)
    signer = Signer(private, "stickyfeed", "stickyfeed", 3600)
    verifier = Verifier(tmp_path / "public", "stickyfeed", "stickyfeed")

    token, exp = signer.sign(7, SID)

    assert verifier.verify(token) == Identity(7, SID, exp)
    (key,) = verifier.keys.jwks()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["kid"]) == ("EC", "P-256", "ES256", private.stem)
    assert "d" not in key
