"""What came back from the edge, and what it wrote into its log."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def error(self) -> str:
        return str(self.json["error"])

    def sent(self, name: str) -> list[str]:
        """The values of a header that the node was sent."""
        pairs = (line.partition(":") for line in self.json["headers"])
        return [value.strip() for key, _, value in pairs if key.lower() == name]


def parse(received: bytes) -> Answer:
    """The answer; status 0 if the connection was closed without one."""
    if not received:
        return Answer(0, [], b"")
    head, _, body = received.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (header.partition(":") for header in rest)]
    return Answer(int(line.split(" ")[1]), pairs, body)


def lines_of(log: str) -> Iterable[dict[str, Any]]:
    """The requests in the log. Raises ValueError where one of its lines is no JSON."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]
