"""The edge behind another proxy, which says where its clients come from."""

from pathlib import Path

import pytest

from tests.integration.edge_system import binaries, edge, free_port, version_of

every_version = pytest.mark.parametrize("binary", binaries(), ids=version_of)


def request(address: str, method: str = "GET", path: str = "/v1/auth/keys") -> bytes:
    """As the other proxy sends it: PROXY protocol, version 1."""
    head = f"PROXY TCP4 {address} 127.0.0.1 1234 80\r\n"
    return f"{head}{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n".encode()


@every_version
async def test_clients_are_told_apart_by_what_the_proxy_says_and_by_nothing_else(binary: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {"EDGE_PROXY_BIND": f"127.0.0.1:{port}", "LIMIT_SIGN_IN": "2", "LIMIT_SIGN_IN_WINDOW": "600"}
    async with edge(binary, tmp_path, settings=settings) as running:
        answer = await running.send(request("203.0.113.9"), port)
        tries = {
            address: [(await running.send(request(address, "POST", "/v1/auth/sign-in"), port)).status for _ in range(3)]
            for address in ("203.0.113.9", "203.0.113.10")
        }
        with pytest.raises(ConnectionResetError):
            await running.ask("/v1/auth/keys", port=port)
        elsewhere = await running.send(request("203.0.113.9"))

        assert answer.sent("x-forwarded-for") == ["203.0.113.9"]
        assert tries == {"203.0.113.9": [200, 200, 429], "203.0.113.10": [200, 200, 429]}
        assert elsewhere.status == 400
