"""What a peer can do that others have to know of."""

from dataclasses import dataclass

from stream.wire.blocks import Headers


@dataclass(frozen=True, slots=True)
class Asked:
    """A request has come; `ended` if nothing follows it."""

    sid: int
    headers: Headers
    ended: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes on an open stream; `ended` if they are the last."""

    sid: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """The stream is over, by the peer's RST_STREAM or for a fault of the peer's; nothing can be sent on it."""

    sid: int


Happened = Asked | Said | Gone
