"""Whatever is refused is said in the page's own words, in each of its languages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Where refusals are written: by the API, by what it stands on, and by the edge.
CODES = {
    "api/*.py": (
        r'ApiError\(\s*\d+,\s*"([a-z-]+)"',
        r'_refused\("([a-z-]+)"',
        r'TokenError\(\s*"([a-z-]+)"',
        r'^    \d{3}: "([a-z-]+)",',
    ),
    "store/*.py": (r'TokenError\(\s*"([a-z-]+)"',),
    "haproxy/*.cfg": (r'"error":"([a-z-]+)"',),
    "haproxy/*.lua": (r'^  \["([a-z-]+)"\] = ',),
}


def codes() -> set[str]:
    return {
        code
        for where, patterns in CODES.items()
        for path in ROOT.glob(where)
        for pattern in patterns
        for code in re.findall(pattern, path.read_text(), re.MULTILINE)
    }


def said(language: str) -> set[str]:
    text = (ROOT / "frontend" / "src" / "words" / f"{language}.ts").read_text()
    block = re.search(r"const refusals.*?\n};", text, re.DOTALL)
    assert block is not None
    return set(re.findall(r'^  "?([A-Za-z -]+?)"?:', block[0], re.MULTILINE))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_refusal_has_words(language: str) -> None:
    assert len(codes()) > 25
    assert codes() - said(language) == set()


def test_no_language_says_more_than_another() -> None:
    assert said("en") == said("ru")
