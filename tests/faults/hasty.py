"""A stream node whose streams may grow old within seconds: STREAM_MAX_AGE is a minute at least, which no test has."""

from typing import Annotated
from unittest.mock import patch

from pydantic import Field

from store.process import main
from stream.app import run
from stream.settings import StreamSettings


class Hasty(StreamSettings):
    """Takes any age."""

    stream_max_age: Annotated[int, Field(ge=1)] = 1


if __name__ == "__main__":
    with patch("stream.app.StreamSettings", Hasty):
        main(run)
