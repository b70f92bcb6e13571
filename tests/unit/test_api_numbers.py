"""What proves that MySQL has been set back, and what does not."""

from api.numbers import Given, proof_of
from store.highest import Highest

OLD, NEW = "019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"


def test_a_primary_that_knows_all_that_the_archive_has_is_not_refused() -> None:
    for given in (Given(6, 9, NEW), Given(60, 90, NEW), Given(6, 9, "")):
        assert proof_of(Highest(5, 8, NEW, 5), given) == ""
    assert proof_of(Highest(5, 8, OLD, 5), Given(6, 9, NEW)) == ""  # the archive lags


def test_each_number_that_would_be_given_out_twice_is_named_with_the_remedy() -> None:
    highest = Highest(5, 8, NEW, 3)

    for given, named in (
        (Given(5, 9, NEW), ("account 5",)),
        (Given(6, 8, NEW), ("post 8",)),
        (Given(6, 9, OLD), (OLD, NEW, "account 3")),
    ):
        proof = proof_of(highest, given)
        assert all(word in proof for word in (*named, "python -m api reconcile", "docs/restore.md"))
