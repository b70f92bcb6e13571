"""The rule by which rows leave the outbox, against a model of processes that lock at random."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from api.outbox_rows import Row, in_order


def row(row_id: int, actor: int) -> Row:
    return Row(row_id, actor, f"event-{row_id}", "post", None, b"{}", datetime.now(UTC))


def test_a_row_whose_author_has_an_older_one_elsewhere_is_held() -> None:
    assert in_order([row(6, 1)], [(5, 1), (6, 1)]) == []


def test_a_hole_in_the_middle_holds_what_is_behind_it_and_nothing_before_it() -> None:
    free = in_order([row(5, 1), row(7, 1)], [(5, 1), (6, 1), (7, 1)])

    assert [one.id for one in free] == [5]


def test_one_author_never_holds_another() -> None:
    free = in_order([row(6, 1), row(7, 2)], [(5, 1), (6, 1), (7, 2)])

    assert [one.id for one in free] == [7]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=40))
def test_however_the_locks_fall_no_two_processes_can_turn_an_authors_order_round(rows: list[tuple[int, int]]) -> None:
    """`rows` are (author, process that locked it), by id."""
    present = [(row_id, actor) for row_id, (actor, _) in enumerate(rows)]
    for process in range(3):
        locked = [row(row_id, actor) for row_id, (actor, owner) in enumerate(rows) if owner == process]
        for one in in_order(locked, present):
            older = [owner for row_id, (actor, owner) in enumerate(rows) if actor == one.actor and row_id < one.id]

            assert set(older) <= {process}, "an older event of the same author is in another process's hands"
