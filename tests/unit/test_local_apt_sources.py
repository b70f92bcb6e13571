"""Where a host has its packages from is read in both of apt's formats."""

from pathlib import Path

import pytest

from local.apt_sources import Source, debian_sources, parse

DEB822 = """\
Types: deb
# a remark between the fields
URIs: http://packages.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg

Types: deb-src
URIs: http://packages.example/sources
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://switched-off.example/debian
Suites: bookworm
Components: main
"""


def test_a_stanza_gives_one_source_for_each_suite() -> None:
    sources = parse(DEB822, ".sources")

    signed = ("signed-by=/usr/share/keyrings/example.gpg",)
    assert sources == [
        Source("http://packages.example/debian", "bookworm", ("main", "contrib"), signed),
        Source("http://packages.example/debian", "bookworm-updates", ("main", "contrib"), signed),
    ]


def test_a_key_inside_the_stanza_is_not_taken_for_a_path() -> None:
    text = "Types: deb\nURIs: http://a.example/\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n mQIN: x\n"

    assert parse(text, ".sources") == [Source("http://a.example/", "bookworm", ("main",))]


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("deb http://a.example/debian bookworm main", Source("http://a.example/debian", "bookworm", ("main",))),
        (
            "deb [arch=amd64 signed-by=/k.gpg] https://a.example/d  bookworm main non-free # why",
            Source("https://a.example/d", "bookworm", ("main", "non-free"), ("signed-by=/k.gpg",)),
        ),
    ],
)
def test_a_line_is_read(line: str, source: Source) -> None:
    assert parse(
        f"# deb http://off.example/ bookworm main\ndeb-src http://s.example/ bookworm main\n{line}\n", ".list"
    ) == [source]


def test_only_the_release_itself_counts_not_security_nor_third_parties(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    (tmp_path / "more.list").write_text(
        "deb http://a.example/security bookworm-security main\n"
        "deb http://vendor.example/node nodistro main\n"
        "deb http://b.example/debian bookworm contrib\n"
    )

    found = debian_sources([tmp_path / "debian.sources", tmp_path / "more.list", tmp_path / "missing"], "bookworm")

    assert [(source.uri, source.suite) for source in found] == [("http://packages.example/debian", "bookworm")]


def test_the_same_archive_is_named_with_another_suite() -> None:
    (source, _) = parse(DEB822, ".sources")

    assert (
        source.line("sid") == "deb [signed-by=/usr/share/keyrings/example.gpg] http://packages.example/debian sid main"
    )
