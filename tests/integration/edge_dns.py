"""A name server for one name, as a container network has it: its addresses are whatever the test says, in that order."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

_TYPE_A, _ADDRESS_RECORD = (
    1,
    b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04",
)  # the name asked for, A, IN, 1 s, 4 bytes


class NameServer(asyncio.DatagramProtocol):
    """`told` counts what it has answered since the addresses changed."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses, self.told, self.at = list(addresses), 0, ""

    def say(self, addresses: Sequence[str]) -> None:
        self.addresses, self.told = list(addresses), 0

    async def until_told(self, times: int = 3) -> None:
        """Everybody who asks has heard it: each of the two backends asks once a second."""
        async with asyncio.timeout(20):
            while self.told < times:
                await asyncio.sleep(0.05)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.at = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5  # of the question: name, type, class
        found = self.addresses if int.from_bytes(data[end - 4 : end - 2], "big") == _TYPE_A else []
        self.told += bool(found)
        head = data[:2] + b"\x81\x80\x00\x01" + len(found).to_bytes(2, "big") + bytes(4)
        answers = [_ADDRESS_RECORD + ipaddress.IPv4Address(address).packed for address in found]
        self._transport.sendto(head + data[12:end] + b"".join(answers), addr)


@asynccontextmanager
async def name_server(addresses: Sequence[str]) -> AsyncIterator[NameServer]:
    """Answers on a port of its own until the block ends."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(addresses), ("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
