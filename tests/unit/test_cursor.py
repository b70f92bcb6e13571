"""A cursor means the same everywhere, and nothing but a cursor is taken for one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.cursor import BadCursor, Cursor, decode, encode

offsets = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=64)


@given(st.binary(min_size=4, max_size=4), offsets)
def test_what_is_encoded_is_decoded(epoch: bytes, places: list[int]) -> None:
    assert decode(encode(epoch.hex(), places)) == Cursor(epoch.hex(), tuple(places))


@given(offsets, st.data())
def test_a_cursor_cut_anywhere_is_refused_or_has_fewer_partitions(places: list[int], data: st.DataObject) -> None:
    text = encode("0badcafe", places)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    with suppress(BadCursor):
        assert len(decode(cut).offsets) < len(places)


@given(st.text(max_size=80))
def test_any_text_is_refused_or_is_the_one_form_of_its_cursor(text: str) -> None:
    try:
        cursor = decode(text)
    except BadCursor:
        return
    assert encode(cursor.epoch, cursor.offsets) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AQ",
        "!!!!",
        "AQAAAAA",  # no partition at all
        encode("00000000", [5]) + "=",
        encode("00000000", [5])[:-1],
        "AgAAAAAF",  # another version
        "AQAAAACAAA",  # a varint with a needless last byte
        "A" * 9000,
        "привет",
        encode("00000000", [2**63]),  # an offset is a signed 64-bit number in Kafka
    ],
)
def test_what_we_would_not_have_written_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        decode(text)


def test_a_cursor_of_twelve_busy_partitions_is_short_enough_to_be_sent_with_every_event() -> None:
    assert len(encode("0badcafe", [1_000_000] * 12)) < 80
