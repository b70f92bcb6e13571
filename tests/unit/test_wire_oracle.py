"""h2 as the oracle of the wire's core: after each frame both know the same streams, the same windows, and whether it is the end."""

from random import Random
from struct import unpack

import h2.config
import h2.connection
import h2.exceptions
import h2.stream
import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire import blocks, frames
from stream.wire.codes import PREFACE, Code, Flag, Kind
from tests.unit.test_wire_core import LINES, greeted
from tests.unit.wire_faults import settings_of, update

BLOCK = hpack.Encoder().encode(LINES)
_STEPS = 30
_SPEAKING = (h2.stream.StreamState.OPEN, h2.stream.StreamState.HALF_CLOSED_LOCAL)

# What h2 does otherwise, and why we don't follow it:
#   frames for a stream that its client has ended are a fault of the connection to h2, and to us of the stream, or late and nothing
#   (RFC 9113, 5.1 allows all); so are trailers that don't end their stream (8.1.1 asks for the stream's);
#   a block that is no HPACK is PROTOCOL_ERROR to h2 (4.3 asks for COMPRESSION_ERROR), and of two faults in one frame it may
#   name the size, or we;
#   a stream's WINDOW_UPDATE by 0 is a fault of the connection to h2 (6.9 asks for the stream's);
#   RST_STREAM of a stream that was never opened is nothing to h2 (6.4 asks for the end of the connection).
# Nobody can send past an inbound window: no frame is longer than a quarter of it, and it is given back at half.
_STREAM_LEVEL = (
    h2.exceptions.StreamClosedError,
    h2.exceptions.NoSuchStreamError,
    h2.exceptions.StreamIDTooLowError,
)


class Both:
    """A core, and h2 in the same place; what the core sends by itself, h2 is made to send, too."""

    def __init__(self, random: Random) -> None:
        self.random, self.core = random, greeted()
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_inbound_headers=False, header_encoding=None)
        )
        self.h2.initiate_connection()
        self.h2.receive_data(PREFACE + frames.settings({}))
        self.next = 1
        self.answered: set[int] = set()
        self.ended: set[int] = set()  # by us; h2 knows them until the client has ended them, too

    def hear(self, data: bytes) -> bool:
        """Whether both go on."""
        self.core.receive(data)
        try:
            self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            if isinstance(error, _STREAM_LEVEL) or "railers" in str(error) or self._is_of_a_stream(data):
                return False
            fault = self.core.fault
            assert fault is not None, f"h2 refuses what the core takes: {error!r} after {data[:40].hex()}"
            if Code.FRAME_SIZE_ERROR not in (fault.code, error.error_code) and fault.code != Code.COMPRESSION_ERROR:
                assert int(fault.code) == int(error.error_code), f"{fault!r} is to h2 {error!r}"
            return False
        if data[3] == Kind.RST_STREAM and self.core.fault is not None and self.core.fault.code == Code.PROTOCOL_ERROR:
            return False
        assert self.core.fault is None, f"the core refuses what h2 takes: {self.core.fault!r} after {data[:40].hex()}"
        self._repeat(self.core.take_out())
        return True

    def _is_of_a_stream(self, data: bytes) -> bool:
        """A window that grows by nothing, or over the most there may be on a stream that is over to us and not yet to h2."""
        of_stream = data[3] == Kind.WINDOW_UPDATE and data[5:9] != bytes(4)
        return of_stream or (data[3] == Kind.SETTINGS and bool(self.ended) and self.core.fault is None)

    def speak(self) -> None:
        """Answers a stream, or sends on one, as much as its window lets through; sometimes that is the last of it."""
        if not self.core.windows.room:
            return
        sid = self.random.choice(sorted(self.core.windows.room))
        if sid not in self.answered:
            self.answered.add(sid)
            self.core.answer(sid, blocks.encode(200))
            self.h2.send_headers(sid, [(":status", "200")])
        data = self.random.randbytes(self.random.randrange(1, 30_000))[: self.core.windows.left(sid)]
        last = self.random.random() < 0.2
        if data:
            self.core.send(sid, data, last=last)
            for at in range(0, len(data), 16384):
                self.h2.send_data(sid, data[at : at + 16384], end_stream=last and at + 16384 >= len(data))
            self.ended |= {sid} if last else set()
        self.core.take_out()

    def compare(self) -> None:
        streams = {sid: one for sid, one in self.h2.streams.items() if not one.closed and sid not in self.ended}
        windows = self.core.windows
        assert set(windows.room) == set(streams)
        assert windows.connection == self.h2.outbound_flow_control_window
        assert self.core._inbound_all == self.h2.inbound_flow_control_window
        speaking = {sid for sid, one in streams.items() if one.state_machine.state in _SPEAKING}
        assert set(self.core._inbound) == speaking
        for sid, one in streams.items():
            own = windows.room[sid] + (0 if windows.is_free(sid) else 2**32)
            assert own == one.outbound_flow_control_window
        for sid, left in self.core._inbound.items():
            assert left == streams[sid].inbound_flow_control_window

    def _repeat(self, out: bytes) -> None:
        while out:
            size, kind, sid = int.from_bytes(out[:3], "big"), out[3], int.from_bytes(out[5:9], "big")
            payload, out = out[9 : 9 + size], out[9 + size :]
            if kind == Kind.WINDOW_UPDATE and sid not in self.ended:
                self.h2.increment_flow_control_window(unpack(">L", payload)[0], sid or None)
            elif kind == Kind.RST_STREAM and sid in self.h2.streams and not self.h2.streams[sid].closed:
                self.h2.reset_stream(sid, int.from_bytes(payload, "big"))
        self.h2.data_to_send()


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_frames_come_the_core_and_h2_know_the_same(seed: int) -> None:
    random = Random(seed)
    both = Both(random)
    for _ in range(_STEPS):
        if random.random() < 0.3:
            both.speak()
        elif not both.hear(odd(both, random) if random.random() < 0.05 else right(both, random)):
            return
        both.compare()


def right(both: Both, random: Random) -> bytes:
    """Something that a client may send."""
    speaking = sorted(both.core._inbound)
    known = sorted(both.core.windows.room)
    match random.choice(
        ["request"] * 3 + ["data"] * 5 + ["trailers", "update", "update", "update", "reset", "settings", "ping", "more"]
    ):
        case "data" if speaking:
            return data(random, random.choice(speaking), Flag.END_STREAM if random.random() < 0.1 else 0)
        case "trailers" if speaking:
            return headers(random, random.choice(speaking), Flag.END_STREAM, b"\x00\x06x-more\x01y")
        case "update":
            return update(random.choice([0, *known]), random.choice([1, 100, 30_000]))
        case "reset" if known:
            return frames.reset(random.choice(known), Code.CANCEL)
        case "settings":
            return settings_of((4, random.choice([0, 10, 1000, 65535, 200_000])), (99, 7))
        case "ping":
            return frames.frame(Kind.PING, random.choice([0, 1]), 0, bytes(8))
        case "more" if known:
            return frames.frame(random.choice([100, 200]), random.randrange(256), random.choice(known), b"what")
        case _:
            both.next += 2
            return headers(random, both.next - 2, random.choice([0, Flag.END_STREAM]), BLOCK)


def data(random: Random, sid: int, flags: int) -> bytes:
    """With padding or without, up to a whole frame."""
    payload = random.randbytes(random.choice([0, 3, 1000, 16_000]))
    if random.random() < 0.3:
        padding = random.randrange(256)
        return frames.frame(Kind.DATA, flags | Flag.PADDED, sid, bytes((padding,)) + payload + bytes(padding))
    return frames.frame(Kind.DATA, flags, sid, payload)


def headers(random: Random, sid: int, flags: int, block: bytes) -> bytes:
    """In one piece or in many, with padding and priority or without."""
    pieces = [block]
    if random.random() < 0.5:
        cuts = sorted(random.randrange(len(block) + 1) for _ in range(random.randrange(1, 10)))
        pieces = [block[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    first, more = pieces[0], pieces[1:]
    if random.random() < 0.3:
        first, flags = bytes(4) + b"\x10" + first, flags | Flag.PRIORITY
    if first and random.random() < 0.3:  # h2 takes no padding of nothing
        padding = random.randrange(256)
        first, flags = bytes((padding,)) + first + bytes(padding), flags | Flag.PADDED
    out = [frames.frame(Kind.HEADERS, flags | (0 if more else Flag.END_HEADERS), sid, first)]
    for number, piece in enumerate(more, 1):
        end = Flag.END_HEADERS if number == len(more) else 0
        out.append(frames.frame(Kind.CONTINUATION, end, sid, piece))
    return b"".join(out)


def odd(both: Both, random: Random) -> bytes:
    """Something that is wrong, or may be."""
    sid = random.choice([0, *both.core.windows.room, both.next + 2])
    match random.randrange(8):
        case 0:
            return frames.data(sid, b"x", random.choice([0, Flag.END_STREAM]))
        case 1:
            return update(sid, random.choice([2**30, 2**31 - 1]))
        case 2:
            return settings_of((random.randrange(1, 7), random.choice([0, 1, 2, 16383, 16384, 2**31 - 1, 2**31])))
        case 3:
            return frames.frame(Kind.CONTINUATION, Flag.END_HEADERS, sid, b"")
        case 4:
            return frames.frame(random.choice([2, 3, 4, 5, 6, 7, 8]), 0, sid, bytes(random.randrange(9)))
        case 5:
            both.next += 2
            return headers(random, both.next - 2, 0, random.choice([b"\xff\xff", b"\xbf"]))
        case 6:
            return headers(random, sid, random.choice([0, Flag.END_STREAM]), BLOCK)
        case _:
            return frames.frame(Kind.DATA, Flag.PADDED, sid, random.choice([b"", b"\x05abc", b"\x03abc"]))
