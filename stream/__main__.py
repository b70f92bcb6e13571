"""`python -m stream`: one stream node, on STREAM_BIND."""

from store.process import main
from stream.app import run

if __name__ == "__main__":
    main(run)
