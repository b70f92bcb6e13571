"""h2 as the client of a core or of a socket: keeps what came on each stream, and opens windows only when it is told to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

Lines = Iterable[tuple[str, str]]


@dataclass
class WireClient:
    """Bytes for the server are in `out`, until `take_out`. Windows of streams in `stalled` stay shut."""

    window: int = 65535
    connection_window: int = 2**30
    received: dict[int, bytes] = field(default_factory=dict)
    headers: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    resets: dict[int, int] = field(default_factory=dict)
    stalled: set[int] = field(default_factory=set)
    went_away: list[int] = field(default_factory=list)
    data_frames: int = 0
    owed: dict[int, int] = field(default_factory=dict)
    _left: bytes = b""

    def __post_init__(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None, validate_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        names = h2.settings.SettingCodes
        first = {names.INITIAL_WINDOW_SIZE: self.window, names.ENABLE_PUSH: 0, names.MAX_FRAME_SIZE: 16384}
        self.h2.local_settings = h2.settings.Settings(client=True, initial_values=first)
        self.h2.initiate_connection()
        if self.connection_window > 65535:
            self.h2.increment_flow_control_window(self.connection_window - 65535)

    def take_out(self) -> bytes:
        return self.h2.data_to_send()

    def request(self, lines: Lines, *, end: bool = True) -> int:
        sid = self.h2.get_next_available_stream_id()
        self.h2.send_headers(sid, list(lines), end_stream=end)
        self.received[sid] = b""
        return sid

    def feed(self, data: bytes) -> None:
        """Raises whatever h2 has to say against what the server sends, windows included."""
        self._left += data
        while len(self._left) >= 9 and len(self._left) >= (end := 9 + int.from_bytes(self._left[:3], "big")):
            frame, self._left = self._left[:end], self._left[end:]
            if frame[3] == 7 and frame[9:] == b"\x7f\xff\xff\xff\0\0\0\0":
                self.went_away.append(0)  # h2 would take it for the end, but streams that are open go on
            else:
                self._feed(frame)

    def _feed(self, frame: bytes) -> None:
        for event in self.h2.receive_data(frame):
            match event:
                case h2.events.ResponseReceived():
                    self.headers[event.stream_id] = dict(event.headers)
                case h2.events.DataReceived():
                    self.data_frames += 1
                    self.received[event.stream_id] += event.data
                    self.owed[event.stream_id] = self.owed.get(event.stream_id, 0) + event.flow_controlled_length
                    if event.stream_id not in self.stalled:
                        self.open(event.stream_id)
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case h2.events.StreamReset():
                    self.resets[event.stream_id] = int(event.error_code)
                case h2.events.ConnectionTerminated():
                    self.went_away.append(int(event.error_code or 0))

    def open(self, sid: int) -> None:
        """Gives back to the stream's windows what has been received."""
        owed = self.owed.pop(sid, 0)
        if owed and sid not in self.ended:
            self.h2.acknowledge_received_data(owed, sid)
