"""The wire's core, with no socket: what it understands however it is cut, and what h2, as a client, makes of its answers."""

from array import array
from random import Random

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire import blocks, frames
from stream.wire.codes import DEFAULT_WINDOW, PREFACE, Flag, Kind, Setting
from stream.wire.core import Core
from stream.wire.happened import Asked, Gone, Happened, Said
from tests.unit.wire_client import WireClient

LINES = [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", "/v1/stream")]


def greeted(**settings_of_the_peer: int) -> Core:
    core = Core()
    core.receive(PREFACE + frames.settings({Setting[name]: value for name, value in settings_of_the_peer.items()}))
    core.take_out()
    return core


def request(sid: int, *, end: bool = True, fill: int = 0) -> bytes:
    block = hpack.Encoder().encode([*LINES, ("x-fill", "é" * fill)])
    flags = Flag.END_STREAM if end else 0
    if len(block) <= 10:
        return frames.headers(sid, block, end)
    return frames.frame(Kind.HEADERS, flags, sid, block[:10]) + frames.frame(
        Kind.CONTINUATION, Flag.END_HEADERS, sid, block[10:]
    )


def conversation() -> bytes:
    return b"".join(
        (
            PREFACE,
            frames.settings({Setting.INITIAL_WINDOW_SIZE: 100_000, Setting.MAX_FRAME_SIZE: 20_000}),
            frames.window_update(0, 5),
            request(1),
            request(3, end=False, fill=40),
            frames.frame(Kind.PING, 0, 0, b"12345678"),
            *(frames.window_update(1, n) for n in range(1, 20)),
            frames.data(3, b"hello"),
            frames.frame(Kind.DATA, Flag.PADDED, 3, b"\x02xyz\0\0"),
            frames.frame(Kind.PRIORITY, 0, 5, bytes(5)),
            frames.frame(0xBE, 0xEF, 7, b"unknown"),
            frames.data(3, b"bye", Flag.END_STREAM),
            frames.frame(Kind.RST_STREAM, 0, 1, bytes(4)),
            frames.window_update(1, 9),
            frames.window_update(3, 7),
        )
    )


def heard(core: Core, *pieces: bytes) -> list[Happened]:
    return [what for piece in pieces for what in core.receive(piece)]


def test_a_conversation_means_what_it_says() -> None:
    core = Core()

    happened = heard(core, conversation())

    assert core.fault is None
    asked = [what for what in happened if isinstance(what, Asked)]
    assert [(what.sid, what.ended) for what in asked] == [(1, True), (3, False)]
    assert asked[0].headers[:4] == [(name.encode(), value.encode()) for name, value in LINES]
    assert [what for what in happened if isinstance(what, Said)] == [
        Said(3, b"hello", False),
        Said(3, b"xyz", False),
        Said(3, b"bye", True),
    ]
    assert happened[-1] == Gone(1)
    assert core.windows.left(3) == min(100_007, DEFAULT_WINDOW + 5)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 10, 13, 26])
def test_wherever_the_bytes_are_cut_they_mean_the_same(size: int) -> None:
    told = conversation()
    whole, cut = Core(), Core()
    expected = heard(whole, told)

    happened = heard(cut, *(told[at : at + size] for at in range(0, len(told), size)))

    assert happened == expected
    assert cut.take_out() == whole.take_out()
    assert cut.windows.room == whole.windows.room and cut.windows.connection == whole.windows.connection


def test_a_cut_at_any_single_byte_changes_nothing() -> None:
    told = conversation()
    expected = heard(Core(), told)

    for at in range(len(told)):
        core = Core()
        assert heard(core, told[:at], told[at:]) == expected, at
        assert core.fault is None


def test_half_a_conversation_waits_for_the_rest_and_keeps_no_more_than_one_frame() -> None:
    told = conversation()
    core = Core()
    for at in range(len(told)):
        core.receive(told[at : at + 1])
        assert len(core._rest) <= 9 + 16384


def answered(core: Core, client: WireClient) -> list[Happened]:
    """Carries bytes to and fro until both are silent."""
    happened: list[Happened] = []
    while out := client.take_out():
        happened += core.receive(out)
        client.feed(core.take_out())
    return happened


def test_h2_as_a_client_is_answered_and_finds_no_fault() -> None:
    core, client = Core(), WireClient()
    sid = client.request([*LINES, ("x-user-id", "7")])
    (asked,) = answered(core, client)
    assert isinstance(asked, Asked) and (b"x-user-id", b"7") in asked.headers

    core.answer(sid, blocks.encode(200, [("content-type", "text/event-stream"), ("x-long", "y" * 300)]))
    core.send(sid, b"x" * 40_000)
    core.send(sid, b"end", last=True)
    client.feed(core.take_out())

    assert client.headers[sid] == {
        b":status": b"200",
        b"content-type": b"text/event-stream",
        b"x-long": b"y" * 300,
    }
    assert client.received[sid] == b"x" * 40_000 + b"end" and client.ended == {sid}
    assert not core.windows.room


def test_one_payload_reaches_all_that_are_free_and_have_room_and_nobody_else() -> None:
    core, client = Core(), WireClient(window=1000)
    sids = [client.request(LINES) for _ in range(50)]
    answered(core, client)
    for sid in sids:
        core.answer(sid, blocks.encode(200))
        core.windows.free(sid)
    core.windows.hold(sids[3])
    core.send(sids[4], b"y" * 900)

    written, short = core.windows.spread(array("I", sids), b"z" * 200)
    core.out.append(written)
    client.feed(core.take_out())

    assert sorted(short) == sids[3:5]
    for sid in sids:
        expected = {sids[3]: b"", sids[4]: b"y" * 900}.get(sid, b"z" * 200)
        assert client.received[sid] == expected


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_windows_are_exact_to_the_byte(seed: int) -> None:
    """h2 raises when a window is overrun; the client's own account must agree with ours at every moment."""
    random = Random(seed)
    core = Core()
    client = WireClient(window=random.choice([0, 10, 300, 65535]), connection_window=random.choice([65535, 70_000]))
    sids = [client.request(LINES) for _ in range(random.randrange(1, 12))]
    answered(core, client)
    for sid in sids:
        core.answer(sid, blocks.encode(200))
    client.feed(core.take_out())
    client.stalled = set(sids)
    sent = dict.fromkeys(sids, b"")
    for _ in range(40):
        sid = random.choice(sids)
        match random.randrange(6):
            case 0:
                core.windows.hold(sid)
            case 1:
                core.windows.free(sid)
            case 2:
                payload = random.randbytes(random.randrange(1, 400))
                some = array("I", sorted(random.sample(sids, random.randrange(1, len(sids) + 1))))
                free = {sid for sid in some if core.windows.is_free(sid)}
                written, short = core.windows.spread(some, payload)
                core.out.append(written)
                for other in set(some) - set(short):
                    assert other in free
                    sent[other] += payload
            case 3:
                piece = random.randbytes(random.randrange(1, 90_000))[: core.windows.left(sid)]
                if piece:
                    core.send(sid, piece)
                    sent[sid] += piece
            case 4:
                client.open(sid)
            case 5:
                new = random.choice([0, 20, 1000, 65535])
                client.h2.update_settings({4: new})
        client.feed(core.take_out())
        answered(core, client)
        assert core.windows.connection == client.h2.inbound_flow_control_window
        for one in sids:
            own = core.windows.room[one]
            own += 2**32 if own < 0 else 0
            own -= 2**32 if own > 2**31 else 0
            assert own == client.h2.streams[one].inbound_flow_control_window

    assert client.received == sent


@given(st.lists(st.tuples(st.from_regex(rb"[a-z-]{1,20}", fullmatch=True), st.binary(max_size=300))))
def test_headers_in_the_form_that_the_edge_writes_are_read_as_the_library_reads_them(
    headers: list[tuple[bytes, bytes]],
) -> None:
    block = b"".join(
        b"\x00" + blocks._text(name) + blocks._text(value) for name, value in headers
    )  # what HAProxy does: literals, no Huffman, no index

    assert blocks._decode_plain(block) == [
        (bytes(name), bytes(value)) for name, value in hpack.Decoder(10**6).decode(block, raw=True)
    ]


@given(st.binary(max_size=60))
def test_what_the_quick_reader_takes_the_library_takes_too_and_alike(block: bytes) -> None:
    quick = blocks._decode_plain(block)
    if quick is None:
        return

    assert quick == [(bytes(n), bytes(v)) for n, v in hpack.Decoder(10**6).decode(block, raw=True)]
