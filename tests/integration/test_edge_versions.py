"""What the edge was tested on."""

import pytest

from tests.integration.edge_system import binaries, has_wire, version_of


def test_the_edge_is_tested_on_an_haproxy_before_3_1_and_on_one_since() -> None:
    found = {version_of(binary): has_wire(binary) for binary in binaries()}

    if set(found.values()) != {True, False}:
        pytest.skip(f"only {', '.join(found)} is here: `make tools` installs the other, HAPROXY_BINARIES names both")
