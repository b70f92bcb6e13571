"""The search of the logs after a run finds what it is for."""

import pytest

from tests import known


@pytest.mark.parametrize(
    "line",
    [
        '{"path":"/v1/AAAABBBBCCCCDDDDEEEE1"}',
        "bearer.AAAABBBBCCCCDDDDEEEE1, feed.v1",
        "x%3DAAAABBBBCCCCDDDDEEEE1&y",
        "refused: BBBBAAAABBBBCCCCDDDDEEEE1",
        "he said `a long enough pass phrase`",
    ],
)
def test_a_piece_of_a_token_and_a_password_are_found_wherever_they_stand(line: str) -> None:
    known.remember("short.AAAABBBBCCCCDDDDEEEE1.x", "a long enough pass phrase")

    assert known.told(line)
    assert not known.told('{"path":"/v1/posts/short","uid":"123456789012345678"}')
