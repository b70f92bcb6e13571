"""The rules of time of a stream, with no socket and no clock."""

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import lifecycle
from stream.lifecycle import AHEAD_AT_MOST, LAST_WORDS, Now, Step, look_at, next_step
from stream.reasons import EndReason, GapReason
from stream.replay import place_at
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode

_WALL, _MONO = 1_700_000_000.0, 5_000.0  # two clocks that have nothing to do with each other
_SLOW = 30.0
_HOUR = 3600


def after(seconds: float) -> Now:
    """So long after the moment at which the streams of these tests are live."""
    return Now(_WALL + seconds, _MONO + seconds)


def a_stream(**state: object) -> Stream:
    """Live, for an hour from now on; its next heartbeat is due in ten seconds."""
    made = Stream(7, "sid", int(_WALL) + _HOUR, place=None, beat_at=_MONO + 10)
    return replace(made, **state)  # type: ignore[arg-type]


def ended(after_seconds: float, **state: object) -> Stream:
    return a_stream(end=EndReason.SIGNED_OUT, ended_at=_MONO + after_seconds, **state)


_NEVER = math.inf
_TIMES = st.one_of(st.none(), st.floats(-100, 100).map(lambda seconds: _MONO + seconds))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """In any state, also in those that nobody has thought of."""
    ended_at = draw(_TIMES)
    return a_stream(
        expires_at=int(_WALL) + draw(st.integers(-100, 200)),
        rotate_at=draw(st.one_of(st.just(_NEVER), st.floats(-100, 100).map(lambda seconds: _WALL + seconds))),
        warned_for=draw(st.sampled_from([0, int(_WALL) + 50])),
        beat_at=draw(st.one_of(st.just(_NEVER), st.floats(-100, 100).map(lambda seconds: _MONO + seconds))),
        writing_since=draw(_TIMES),
        is_opening=draw(st.booleans()),
        ahead_since=draw(_TIMES),
        place=draw(st.sampled_from([None, 3])),
        ended_at=ended_at,
        end=None if ended_at is None else EndReason.DRAIN,
    )


@given(streams(), st.floats(-200, 300))
def test_nothing_is_due_before_the_moment_at_which_to_look_again_and_something_is_due_then(
    stream: Stream, seconds: float
) -> None:
    """Whatever can be due, a deadline that is computed anew has it."""
    now = after(seconds)
    at = look_at(stream, now, _SLOW)

    assert (next_step(stream, now, _SLOW) is not None) == (at <= now.monotonic)
    if at > now.monotonic:
        until = at - _MONO
        assert next_step(stream, after(until + 0.001), _SLOW) is not None
        assert next_step(stream, after((seconds + until) / 2), _SLOW) is None or until - seconds < 0.001


@pytest.mark.parametrize(
    ("stream", "seconds", "step"),
    [
        (a_stream(), 9.9, None),
        (a_stream(), 10, Step.HEARTBEAT),
        (a_stream(expires_at=int(_WALL) + 65), 4.9, None),
        (a_stream(expires_at=int(_WALL) + 65), 5, Step.WARNING),
        (a_stream(expires_at=int(_WALL) + 65, warned_for=int(_WALL) + 65), 6, None),
        (a_stream(expires_at=int(_WALL) + 65, warned_for=int(_WALL) + 60), 6, Step.WARNING),  # a newer token's
        (a_stream(expires_at=int(_WALL) + 8), 8, Step.END),
        (a_stream(rotate_at=_WALL + 8), 8, Step.END),
        (ended(0), 0, Step.END),
        (ended(0), 9, Step.END),  # it takes what comes: there is no hurry
        (ended(5, writing_since=_MONO), 5.3, Step.END),
        (ended(5, writing_since=_MONO), 5.5, Step.CUT),
        (ended(5, writing_since=_MONO + 5.5), 5.6, Step.CUT),  # a byte now and then prolongs nothing
        (ended(5, is_opening=True), 5.3, Step.END),
        (ended(5, is_opening=True), 5.5, Step.CUT),  # our stores do not prolong it either
        (a_stream(expires_at=int(_WALL) + 5, writing_since=_MONO), 5.5, Step.CUT),
        (a_stream(rotate_at=_WALL + 5, writing_since=_MONO), 5.5, Step.CUT),
        (a_stream(beat_at=_NEVER, writing_since=_MONO), 29.9, None),
        (a_stream(beat_at=_NEVER, writing_since=_MONO), 30, Step.CUT),
        (a_stream(beat_at=_NEVER, ahead_since=_MONO), AHEAD_AT_MOST - 0.1, None),
        (a_stream(ahead_since=_MONO, past=(9,)), AHEAD_AT_MOST, Step.RESYNC),
        (a_stream(ahead_since=_MONO, repeats=frozenset("a")), AHEAD_AT_MOST, Step.FORGET_REPEATS),
        (a_stream(beat_at=_NEVER, ahead_since=_MONO, place=3), AHEAD_AT_MOST, None),  # it has not had what is here
        (a_stream(beat_at=_MONO, is_opening=True, expires_at=int(_WALL) + 65), 6, None),  # hello comes first
    ],
)
def test_what_is_due(stream: Stream, seconds: float, step: Step | None) -> None:
    assert next_step(stream, after(seconds), _SLOW) is step


def test_a_stream_on_a_connection_that_is_blocked_has_time_for_its_last_words_but_not_for_ever() -> None:
    stream = ended(0, writing_since=_MONO)

    assert next_step(stream, after(1), _SLOW, is_blocked=True) is Step.END
    assert next_step(stream, after(_SLOW), _SLOW, is_blocked=True) is Step.CUT


def test_the_first_reason_to_end_counts_and_its_time() -> None:
    stream = a_stream(expires_at=int(_WALL) + 5)
    lifecycle.end(stream, EndReason.DRAIN, _MONO + 1)
    lifecycle.end(stream, EndReason.SLOW, _MONO + 2)
    lifecycle.expire(stream, after(6))

    assert (stream.end, stream.ended_at) == (EndReason.DRAIN, _MONO + 1)


@pytest.mark.parametrize("reason", [EndReason.EXPIRED, EndReason.ROTATE])
def test_whoever_looks_late_finds_that_the_stream_ended_when_that_was_due(reason: EndReason) -> None:
    end = {"expires_at": int(_WALL) + 5} if reason is EndReason.EXPIRED else {"rotate_at": _WALL + 5}
    stream = a_stream(**end)
    lifecycle.expire(stream, after(4))
    asked = [lifecycle.due_end(stream, after(seconds)) for seconds in (4, 7)]
    assert (asked, stream.end) == ([None, reason], None), "a question changes nothing"
    lifecycle.expire(stream, after(7))

    assert (stream.end, stream.ended_at) == (reason, _MONO + 5)


def test_a_renewed_token_moves_the_end_and_the_warning() -> None:
    stream = a_stream(expires_at=int(_WALL) + 5, warned_for=int(_WALL) + 5, beat_at=_NEVER)
    stream.expires_at += _HOUR

    assert next_step(stream, after(6), _SLOW) is None
    assert look_at(stream, after(6), _SLOW) == pytest.approx(_MONO + 5 + _HOUR - 60)


def test_a_client_that_is_ahead_gets_its_ten_seconds_again_with_each_place_that_it_is_put_at() -> None:
    node = ModelNode(Log(), Random(1))
    stream = Stream(7, "sid", int(_WALL) + _HOUR)
    for put_at in (0.0, 10.5, 21.0):
        place_at(stream, node.ring, [5, 5, 5])
        stream.place = None  # it has had everything that is here: nothing
        assert lifecycle.reach_head(stream, node.ring, after(put_at).monotonic)
        assert lifecycle.reach_head(stream, node.ring, after(put_at + 5).monotonic), "since the first time"

        assert next_step(stream, after(put_at + 9.9), _SLOW) is None
        assert next_step(stream, after(put_at + 10), _SLOW) is Step.RESYNC


def test_a_client_is_ahead_until_the_node_has_read_as_far() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    stream = Stream(7, "sid", int(_WALL) + _HOUR)
    place_at(stream, node.ring, [1, 1, 0])
    stream.place = None
    log.append(3)
    node.read()
    assert lifecycle.reach_head(stream, node.ring, _MONO)
    log.append(4)
    node.read()

    assert not lifecycle.reach_head(stream, node.ring, _MONO + 1)
    assert (stream.past, stream.ahead_since) == (None, None)
    assert next_step(stream, after(AHEAD_AT_MOST + 1), _SLOW) is None


def test_a_stream_has_lost_its_place_when_the_ring_has_dropped_what_it_has_not_had() -> None:
    log = Log()
    node = ModelNode(log, Random(1), seconds=10)
    log.append(1)
    node.read()
    node.now = 20
    node.ring.expire(node.now)

    assert lifecycle.has_lost_its_place(a_stream(place=0), node.ring)
    assert not lifecycle.has_lost_its_place(a_stream(place=1), node.ring)
    assert not lifecycle.has_lost_its_place(a_stream(place=None), node.ring)


def test_streams_that_open_together_neither_beat_nor_go_together() -> None:
    opened = [a_stream() for _ in range(50)]
    for stream in opened:
        lifecycle.begin_beating(stream, after(0), 15)
    rotations = [lifecycle.rotation(after(0), 400) for _ in opened]

    assert len({stream.beat_at for stream in opened}) > 1 and len(set(rotations)) > 1
    assert all(_MONO + 7.5 <= stream.beat_at <= _MONO + 15 for stream in opened)
    assert all(_WALL + 300 <= at <= _WALL + 400 for at in rotations)


def test_last_words_fit_into_the_second_of_the_guarantee() -> None:
    assert LAST_WORDS + 0.5 < 1, "the wire looks twice a second"


def test_each_reason_is_the_word_that_clients_and_metrics_read_and_has_its_delay() -> None:
    assert [str(reason) for reason in GapReason] == ["malformed", "epoch", "too-old", "ahead", "storekeeper"]
    for reason, (low, high) in {
        EndReason.DRAIN: (100, 2000),
        EndReason.TOO_MANY: (10_000, 30_000),
        EndReason.ROTATE: (1000, 4000),
    }.items():
        assert f"{reason}" == reason.value
        assert all(low <= reason.retry_ms <= high for _ in range(50))
