"""Nobody reads the answer of a source that may lag without saying how far it must be."""

import pytest

from store.as_of import AsOf, Behind
from store.cursor import Cursor


@pytest.mark.parametrize("offsets", [(3, 5), (4, 5), (9, 9)])
def test_an_answer_is_given_to_whoever_needs_no_more_than_the_source_has(offsets: tuple[int, ...]) -> None:
    answer = AsOf("yes", Cursor("00000001", offsets), "the archive")

    assert answer.at_least(Cursor("00000001", (3, 5))) == "yes"


@pytest.mark.parametrize(
    "position",
    [
        Cursor("00000001", (3, 4)),
        Cursor("00000001", (2, 9)),
        Cursor("00000002", (9, 9)),
        Cursor("00000001", (9,)),
        Cursor("00000001", (9, 9, 9)),
        None,
    ],
)
def test_a_source_that_is_behind_or_in_another_log_or_does_not_know_where_it_is_answers_nothing(
    position: Cursor | None,
) -> None:
    answer = AsOf("yes", position, "the archive")

    with pytest.raises(Behind, match="the archive is at"):
        answer.at_least(Cursor("00000001", (3, 5)))


def test_age_can_be_waived_only_with_a_reason() -> None:
    answer: AsOf[str, Cursor] = AsOf("yes", None, "Redis")

    assert answer.regardless("an end is final") == "yes"
    with pytest.raises(AssertionError):
        answer.regardless("")


def test_an_answer_that_may_be_old_is_never_taken_for_true_by_mistake() -> None:
    answer = AsOf(False, Cursor("00000001", (3,)), "the archive")

    assert answer.reaches(Cursor("00000001", (3,))) and not answer.reaches(Cursor("00000001", (4,)))
    with pytest.raises(TypeError):
        bool(answer)
