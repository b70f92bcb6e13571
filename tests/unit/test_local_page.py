"""When the page is built: by what stands in a directory, without Node."""

import os
from pathlib import Path

import pytest

from local.install_page import is_stale


@pytest.fixture
def frontend(tmp_path: Path) -> Path:
    """Sources, each a second newer than the one before, and then a page built from them."""
    for age, name in enumerate(("package.json", "src/main.ts", "dist/index.html", "dist/sizes.txt")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1_000 + age, 1_000 + age))
    return tmp_path


def test_a_page_that_is_newer_than_all_its_sources_is_left_alone(frontend: Path) -> None:
    assert not is_stale(frontend)


def test_a_source_that_is_newer_than_the_page_makes_it_stale(frontend: Path) -> None:
    (frontend / "src" / "main.ts").write_text("changed")

    assert is_stale(frontend)


def test_a_build_that_has_stopped_before_its_end_is_no_page(frontend: Path) -> None:
    """It may have been too large: the second try must not let it through."""
    (frontend / "dist" / "sizes.txt").unlink()

    assert is_stale(frontend)
