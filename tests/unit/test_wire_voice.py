"""What clients say on WebSockets of the wire, however it is cut: words, or a violation, and nothing else."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.inbound import Violation
from stream.wire.voice import Close, Ping, Voice


def masked(first: int, payload: bytes, mask: bytes, size: int | None = None) -> bytes:
    """A client's frame; `first` is its first byte, `size` what it says of its length, if not the truth."""
    size = len(payload) if size is None else size
    head = bytes((size | 0x80,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


_PAYLOADS = st.one_of(
    st.binary(max_size=130),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xee", b"\x13\x87x", b"\xff" * 125, b"x" * 17_000]),
)
_MASKS = st.binary(min_size=4, max_size=4)
_LIKELY = st.builds(masked, st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x02, 0x88, 0x89, 0x8A]), _PAYLOADS, _MASKS)
_UNLIKELY = st.builds(masked, st.integers(0, 255), _PAYLOADS, _MASKS, st.none() | st.integers(0, 20_000))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(_LIKELY, _LIKELY, _UNLIKELY, st.binary(max_size=30)), max_size=8), st.integers(1, 60))
def test_only_words_and_violations_come_out(said: list[bytes], step: int) -> None:
    voice, whole = Voice(), b"".join(said)
    try:
        step = max(step, len(whole) // 200)
        for at in range(0, len(whole), step):
            for word in voice.hear(whole[at : at + step]):
                assert isinstance(word, str | bytes | Ping | Close)
                if isinstance(word, Close):
                    return
    except Violation as violation:
        assert violation.code in {1002, 1003, 1007, 1008, 1009}


def test_a_message_in_thousands_of_pieces_takes_what_it_is_long_while_it_is_not_whole() -> None:
    voice, first = Voice(), masked(0x01, "я".encode(), bytes(4))
    pieces = [first, *[masked(0x00, "я".encode(), bytes(4))] * 5000]
    tracemalloc.start()
    try:
        for piece in pieces:
            assert list(voice.hear(piece)) == []
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert kept < 64 * 1024
    assert list(voice.hear(masked(0x80, b"", bytes(4)))) == ["я" * 5001]


def test_a_message_is_bounded_in_bytes_and_not_in_characters() -> None:
    voice = Voice()
    assert list(voice.hear(masked(0x81, b"x" * 16_000, bytes(4)))) == ["x" * 16_000]
    with pytest.raises(Violation) as raised:
        list(voice.hear(masked(0x81, "😀".encode() * 5000, bytes(4))))

    assert raised.value.code == 1009
