"""What the people of the tests know and no log may hold."""

import re

_LONG = 17  # what is shorter may be a word by chance
_RUN = re.compile(rf"[A-Za-z0-9_-]{{{_LONG},}}")
_pieces: set[str] = set()


def remember(*secrets: str) -> None:
    """Tokens, of whatever kind, and passwords."""
    _pieces.update(piece for secret in secrets for piece in secret.split(".") if len(piece) >= _LONG)


def told(text: str) -> set[str]:
    """Those pieces that are in the text, by how they begin: there may be thousands of them."""
    begins = {piece[:_LONG]: piece for piece in _pieces}
    runs = (run[at : at + _LONG] for run in _RUN.findall(text) for at in range(len(run) - _LONG + 1))
    return {begins[run] for run in runs if run in begins} | {
        piece for piece in _pieces if not _RUN.fullmatch(piece) and piece in text
    }
