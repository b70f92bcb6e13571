"""Bad input on the wire: the connection or the stream is ended with the right code, and nothing grows."""

import sys

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire import codes, frames
from stream.wire.codes import PREFACE, Code
from stream.wire.core import Core
from stream.wire.happened import Asked, Gone, Said
from tests.unit.test_wire_core import LINES, greeted, request
from tests.unit.wire_faults import connection_faults, stream_faults, update

BLOCK = hpack.Encoder().encode(LINES)

CONNECTION_FAULTS = connection_faults(BLOCK)
STREAM_FAULTS = stream_faults(BLOCK)


def connection() -> Core:
    """Stream 1 is open and its request whole; on 3 the peer may still speak."""
    core = greeted()
    core.receive(request(1) + request(3, end=False))
    core.take_out()
    return core


@pytest.mark.parametrize("name", CONNECTION_FAULTS)
def test_the_connection_is_closed_with_the_right_code(name: str) -> None:
    data, code = CONNECTION_FAULTS[name]
    core = connection()

    core.receive(data)

    assert (core.fault.code if core.fault else None) == code
    out = core.take_out()
    if code is not None:
        assert out.endswith(out[out.rfind(b"\x07\0\0\0\0\0") - 3 :]) and b"\0\0\0" + bytes([code]) in out
        assert core.receive(request(5)) == [] and core.take_out() == b"", "something was understood after the end"


def test_what_is_not_http2_is_closed_at_once() -> None:
    for start in (b"GET / HTTP/1.1\r\n", b"PRI * HTTP/1.1\r\n", b"\x16\x03\x01"):
        core = Core()
        core.receive(start)
        assert core.fault is not None and core.fault.code == Code.PROTOCOL_ERROR


def test_the_first_frame_has_to_be_settings() -> None:
    for first in (frames.frame(6, 0, 0, bytes(8)), update(0, 1), frames.frame(4, 1, 0), request(1)):
        core = Core()
        core.receive(PREFACE + first)
        assert core.fault is not None and core.fault.code == Code.PROTOCOL_ERROR


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("name", STREAM_FAULTS)
def test_the_stream_is_reset_with_the_right_code_and_the_others_go_on(name: str, free: bool) -> None:
    sid, data, code = STREAM_FAULTS[name]
    core = connection()
    if free:
        core.windows.free(1)
        core.windows.free(3)

    happened = core.receive(data + request(5))

    assert core.fault is None
    assert core.take_out() == frames.reset(sid, code)
    assert Gone(sid) in happened
    assert isinstance(happened[-1], Asked) and happened[-1].sid == 5
    assert set(core.windows.room) == {1, 3, 5} - {sid}


def test_one_stream_more_than_allowed_is_refused_and_can_be_tried_elsewhere() -> None:
    core = greeted()
    core.receive(b"".join(request(sid) for sid in range(1, 2 * codes.MAX_STREAMS, 2)))
    core.take_out()

    core.receive(request(2 * codes.MAX_STREAMS + 1))

    assert core.take_out() == frames.reset(2 * codes.MAX_STREAMS + 1, Code.REFUSED_STREAM)
    assert len(core.windows.room) == codes.MAX_STREAMS


def test_late_frames_for_a_stream_that_we_ended_mean_nothing() -> None:
    core = connection()
    core.send(3, b"bye", last=True)
    core.take_out()

    happened = core.receive(frames.data(3, b"late") + update(3, 5) + update(3, 0) + frames.reset(3, Code.CANCEL))

    assert happened == [] and core.fault is None and core.take_out() == b""


def test_a_stream_that_sends_more_than_its_window_is_reset() -> None:
    core = connection()
    core._inbound[3] = 10

    happened = core.receive(frames.data(3, b"x" * 11))

    assert happened == [Gone(3)] and core.take_out() == frames.reset(3, Code.FLOW_CONTROL_ERROR)


def test_windows_that_are_used_are_given_back_before_they_are_shut() -> None:
    core = connection()

    for _ in range(100):
        happened = core.receive(frames.data(3, bytes(16384)))
        assert len(happened) == 1 and isinstance(happened[0], Said)
        core.take_out()

    assert core.fault is None


def test_a_thousand_resets_leave_nothing_behind() -> None:
    core = greeted()
    for sid in range(1, 2001, 2):
        core.receive(request(sid, end=False))
        core.receive(frames.data(sid, b"some") + frames.reset(sid, Code.CANCEL))
        core.take_out()
        core.tick()

    assert not core.windows.room and not core._inbound and not core._block and core._rest == b""


def test_bounds_are_for_a_time_and_a_long_life_reaches_none() -> None:
    core = connection()
    for _ in range(5):
        core.receive(frames.frame(6, 0, 0, bytes(8)) * (codes.MAX_CONTROLS - 10))
        core.tick()
        core.take_out()

    assert core.fault is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_after_a_greeting_never_raise_and_keep_little(data: bytes) -> None:
    core = connection()

    core.receive(data)
    core.receive(data)

    assert sum(map(sys.getsizeof, core.out)) < 100_000 and len(core._rest) <= 16384 + 9
