"""Frames: what a client reads in one piece, by either transport, and how long it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.frames import Frame, Tally, bye, fitting, frame, snapshot
from stream.reasons import EndReason

_CURSOR = "ARkFSxMAAgAGAAABAAMABAU"
_NEXT = "01a20adb-0000-7000-8000-000000000001"
_LONG = ('{"text":"' + "😀" * 1000 + '"}').encode()


def data_of(sse: bytes) -> str:
    """As https://html.spec.whatwg.org/multipage/server-sent-events.html reads it: the data lines, joined by line breaks."""
    return "\n".join(line[len("data: ") :] for line in sse.decode().split("\n") if line.startswith("data: "))


def payload_of(message: bytes) -> bytes:
    """Of a WebSocket message without a mask (RFC 6455, 5.2)."""
    return message[{126: 4, 127: 10}.get(message[1], 2) :]


@pytest.mark.parametrize(
    "made",
    [
        Frame("post", _LONG, _CURSOR),
        Frame("post", b'{"id":"x"}'),
        snapshot([_LONG] * 7, _NEXT, _CURSOR),
        snapshot([], None, _CURSOR),
        frame("hello", {"node": "n"}, retry=3_600_000),
        bye(EndReason.SIGNED_OUT),
    ],
)
def test_its_size_is_that_of_either_form_or_a_little_more(made: Frame) -> None:
    for form in (made.sse, made.message, made.ws.encode()):
        assert len(form) <= made.size <= len(form) + 100
    assert payload_of(made.message).decode() == made.ws


def test_a_snapshot_has_no_line_longer_than_an_item_and_is_the_same_json_by_both_transports() -> None:
    made = snapshot([_LONG] * 7, _NEXT, _CURSOR)
    items = [json.loads(_LONG)] * 7

    assert max(map(len, made.sse.split(b"\n"))) < len(_LONG) + 80
    assert json.loads(data_of(made.sse)) == {"items": items, "next": _NEXT} == json.loads(made.ws)["data"]
    assert made.sse.count(b"\n\n") == 1 and made.sse.endswith(b"\n\n")


@given(st.lists(st.integers(1, 60_000), max_size=60), st.integers(2048, 2**16))
def test_a_snapshot_is_of_as_many_items_as_fit_and_of_one_at_least(sizes: list[int], most: int) -> None:
    items = [b'"%s"' % (b"x" * size) for size in sizes]
    fit = fitting(items, most)
    made = snapshot(items[:fit], _NEXT, _CURSOR)

    assert fit >= min(1, len(items))
    assert fit <= 1 or max(len(made.sse), len(made.message)) <= most
    assert fit == len(items) or len(snapshot(items[: fit + 1], _NEXT, _CURSOR).sse) > most - 1024


def test_what_frames_are_encoded_to_is_counted_until_they_leave() -> None:
    tally = Tally()
    one, other = (Frame("post", b'{"id":"%d"}' % n, _CURSOR, tally=tally) for n in (1, 2))

    forms = [one.sse, one.message, other.sse]
    assert tally.bytes == sum(map(len, forms))
    assert one.sse is forms[0] and one.message is forms[1] and tally.bytes == sum(map(len, forms))
    one.leave_tally()
    assert tally.bytes == len(other.sse)
    other.leave_tally()
    assert other.message and tally.bytes == 0
