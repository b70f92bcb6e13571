"""Every setting is documented where a person looks for it, with its true default."""

import importlib
import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from api.settings import ApiSettings
from store.settings import Settings, SettingsError
from tests.integration.api_support import EDGE_SECRET, make_settings

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / ".env.example"


def all_settings() -> dict[str, type[Settings]]:
    """Every Settings class there is, by its name; the modules are found by their text, so none can be forgotten."""
    for file in PROJECT.glob("[a-z]*/**/*.py"):
        if file.parts[len(PROJECT.parts)] in ("api", "store", "stream") and re.search(
            r"\(Settings\)", file.read_text()
        ):
            importlib.import_module(".".join(file.relative_to(PROJECT).with_suffix("").parts))
    found: list[type[Settings]] = [Settings, *Settings.__subclasses__()]
    return {one.__name__: one for one in found}


def example() -> dict[str, str]:
    return dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_every_process_has_settings_of_its_own() -> None:
    assert {"ApiSettings", "StreamSettings", "StorekeeperSettings"} <= set(all_settings())


@pytest.mark.parametrize("name", sorted(all_settings()))
def test_every_setting_is_in_the_example_with_its_default(name: str) -> None:
    wrong = {}
    for field, info in all_settings()[name].model_fields.items():
        default = "" if info.default is PydanticUndefined else str(info.default)
        default = default.lower() if isinstance(info.default, bool) else default
        if example().get(field.upper()) != default:
            wrong[field.upper()] = (default, example().get(field.upper(), "missing"))

    assert wrong == {}


def test_no_setting_in_the_example_is_unknown() -> None:
    """A name that nothing reads any more would send people looking."""
    ours = {field.upper() for found in all_settings().values() for field in found.model_fields}
    others = "\n".join(
        (PROJECT / name).read_text()
        for name in (
            "haproxy/haproxy.cfg",
            "compose.yaml",
            "compose/deal_secrets.py",
            "local/limits.py",
            "local/install_edge.py",
        )
    )

    assert [name for name in example() if name not in ours and not re.search(rf"\b{name}\b", others)] == []


def test_every_setting_of_the_edge_is_in_the_example() -> None:
    """One of several numbered nodes stands for all."""
    text = (PROJECT / "haproxy" / "haproxy.cfg").read_text()
    read = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", text)) | set(re.findall(r"(?:defined|env)\(([A-Z0-9_]+)\)", text))

    assert {re.sub(r"_\d$", "_1", name) for name in read} - set(example()) == set()


def test_no_secret_has_a_default() -> None:
    assert [example()[name] for name in ("EDGE_SECRET", "MYSQL_PRIMARY", "MYSQL_REPLICA", "TOKEN_SIGNING_KEY")] == [
        ""
    ] * 4


def test_a_session_that_would_end_before_its_tokens_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = make_settings(tmp_path).model_dump()
    for name, value in made.items():
        if name not in ("mysql_primary", "mysql_replica", "edge_secret"):
            monkeypatch.setenv(name.upper(), str(value))
    monkeypatch.setenv("EDGE_SECRET", EDGE_SECRET)
    for server in ("MYSQL_PRIMARY", "MYSQL_REPLICA"):
        monkeypatch.setenv(server, "mysql://u:p@127.0.0.1:1/stickyfeed")
    monkeypatch.setenv("TOKEN_LIFE", "600")
    monkeypatch.setenv("REFRESH_LIFE", "600")
    assert ApiSettings.read().refresh_life == 600
    monkeypatch.setenv("REFRESH_LIFE", "599")

    with pytest.raises(SettingsError, match=r"REFRESH_LIFE: .*must be at least TOKEN_LIFE"):
        ApiSettings.read()
