"""Follows is a dict in less room."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from store.follows import Follows

NUMBERS = st.one_of(st.integers(1, 10), st.sampled_from([2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1]))


@given(st.dictionaries(NUMBERS, NUMBERS), st.lists(st.tuples(NUMBERS, st.one_of(st.none(), NUMBERS))))
def test_it_does_what_a_dict_does(begin: dict[int, int], steps: list[tuple[int, int | None]]) -> None:
    model, follows = dict(begin), Follows(begin)
    for followee, seq in steps:
        if seq is None:
            assert follows.pop(followee, None) == model.pop(followee, None)
        else:
            follows[followee] = model[followee] = seq
        assert follows.get(followee, 0) == model.get(followee, 0) and (followee in follows) == (followee in model)

    assert follows == model and list(follows) == sorted(model) and len(follows) == len(model)


def test_two_hundred_followees_take_less_than_a_kilobyte_and_a_half() -> None:
    given = {1_000_000 + n: 1 + n % 9 for n in range(200)}
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [Follows(given) for _ in range(100)]
    each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    tracemalloc.stop()

    assert each < 1536
