"""The wire of a stand-in for a node, by h2: requests one by one, answers, and WebSockets by extended CONNECT (RFC 8441)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes, Settings
from wsproto.frame_protocol import FrameProtocol, Opcode


@dataclass(eq=False)
class Talk:
    """One request and what is answered. `head` is written as HTTP/1.1 would have it, `protocol` what it is to become."""

    connection: h2.connection.H2Connection
    writer: asyncio.StreamWriter
    sid: int
    head: str
    protocol: str
    _heard: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    _frames: FrameProtocol = field(default_factory=lambda: FrameProtocol(client=False, extensions=[]))

    def answer(self, status: int, body: bytes | None, kind: str = "application/json") -> None:
        """The whole answer; without a body more is sent later."""
        lines = [(":status", str(status)), ("content-type", kind)]
        if body is None:
            self.connection.send_headers(self.sid, lines)
        else:
            self.connection.send_headers(self.sid, [*lines, ("content-length", str(len(body)))])
            self.connection.send_data(self.sid, body, end_stream=True)
        self.flush()

    def accept_websocket(self) -> None:
        self.connection.send_headers(self.sid, [(":status", "200"), ("sec-websocket-protocol", "feed.v1")])
        self.flush()

    def send(self, body: bytes) -> None:
        self.connection.send_data(self.sid, body)
        self.flush()

    def send_text(self, text: str) -> None:
        self.send(bytes(self._frames.send_data(text)))

    async def texts(self) -> AsyncIterator[str]:
        """What the client says, until it closes, which is answered."""
        while True:
            self._frames.receive_bytes(await self._heard.get())
            for frame in self._frames.received_frames():
                if frame.opcode is Opcode.CLOSE:
                    self.connection.send_data(self.sid, bytes(self._frames.close(1000)), end_stream=True)
                    self.flush()
                    return
                yield str(frame.payload)

    def hear(self, data: bytes) -> None:
        self._heard.put_nowait(data)

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())


async def serve_h2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Callable[[Talk], Awaitable[None]]
) -> None:
    """One connection; each request is a task of its own, cancelled when its client has gone."""
    config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=False)
    connection = h2.connection.H2Connection(config)
    first = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, SettingCodes.MAX_CONCURRENT_STREAMS: 4096}
    connection.local_settings = Settings(client=False, initial_values=first)
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    talks: dict[int, tuple[Talk, asyncio.Task[None]]] = {}
    try:
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        made = _talk(connection, writer, event)
                        talks[made.sid] = made, asyncio.create_task(_run(talk, made))
                    case h2.events.DataReceived():
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        talks[event.stream_id][0].hear(event.data)
                    case h2.events.StreamReset():
                        talks[event.stream_id][1].cancel()
            writer.write(connection.data_to_send())
    finally:
        for _, task in talks.values():
            task.cancel()


async def _run(talk: Callable[[Talk], Awaitable[None]], made: Talk) -> None:
    with suppress(OSError):
        await talk(made)


def _talk(
    connection: h2.connection.H2Connection, writer: asyncio.StreamWriter, event: h2.events.RequestReceived
) -> Talk:
    fields = [(str(name), str(value)) for name, value in event.headers]
    pseudo = dict(field for field in fields if field[0].startswith(":"))
    plain = [f"{name}: {value}" for name, value in fields if not name.startswith(":")]
    method = "GET" if ":protocol" in pseudo else pseudo[":method"]
    head = [f"{method} {pseudo[':path']} HTTP/1.1", f"host: {pseudo.get(':authority', '')}", *plain]
    return Talk(connection, writer, event.stream_id, "\r\n".join(head), pseudo.get(":protocol", ""))
