"""`python -m api`: one API process, on API_BIND."""

from api.app import run
from store.process import main

if __name__ == "__main__":
    main(run)
