"""The rule: no guarantee without a test that kills something for it."""

import ast
import re
from pathlib import Path

import pytest

_NAMED = re.compile(r"\bg[1-8]\b", re.IGNORECASE)


def _claims() -> set[str]:
    """The guarantees that tests here name, in their own name or docstring."""
    named: set[str] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        for item in ast.walk(ast.parse(file.read_text())):
            if isinstance(item, ast.AsyncFunctionDef) and item.name.startswith("test_"):
                said = f"{item.name.replace('_', ' ')} {ast.get_docstring(item) or ''}"
                named.update(match.upper() for match in _NAMED.findall(said))
    return named


@pytest.mark.parametrize("guarantee", ["G1", "G2", "G3", "G4", "G5", "G6", "G7"])
def test_every_guarantee_but_that_of_privacy_has_a_fault_test_that_names_it(guarantee: str) -> None:
    assert guarantee in _claims()
