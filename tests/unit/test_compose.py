"""compose.yaml keeps its promises, as far as that can be seen without an engine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from api.pool import SESSION_SECONDS, SIZE
from api.settings import ApiSettings
from compose.deal_secrets import deal
from store.settings import Settings
from store.tokens import Signer, Verifier

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"secrets"}
OURS = "stickyfeed:local"
RUNNING = sorted(set(SERVICES) - ONE_SHOTS)
OF_IMAGES = re.compile(
    r"CLUSTER_ID|KAFKA_[A-Z_]+"
    r"|MYSQL_(DATABASE|USER|PASSWORD_FILE|ROOT_PASSWORD_FILE|INITDB_SKIP_TZINFO)"
)

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_running_service = pytest.mark.parametrize("name", RUNNING)


def example() -> set[str]:
    return set(re.findall(r"^#?([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


@every_service
def test_every_image_is_pinned_to_a_version_or_built_here(name: str) -> None:
    service = SERVICES[name]

    assert service["image"] == OURS or re.search(r":v?\d+\.\d+[\w.-]*$", service["image"])


def test_one_service_builds_the_image_that_all_of_ours_run() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["secrets"]
    for name, service in SERVICES.items():
        if service["image"] == OURS and name != "secrets":
            assert service["pull_policy"] == "never"
            assert service["depends_on"]["secrets"] == {"condition": "service_completed_successfully"}


@every_service
def test_what_a_container_says_is_bounded(name: str) -> None:
    assert SERVICES[name]["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_a_replica_in_a_new_container_finds_its_relay_log() -> None:
    """By default the log is named after the host, which is another one in each new container."""
    assert {"--relay-log=relay-bin", "--relay-log-recovery=ON"} <= set(SERVICES["mysql-replica"]["command"])


def test_every_image_in_the_dockerfile_is_pinned_to_a_version() -> None:
    images = re.findall(r"^FROM (\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)

    assert images
    assert [image for image in images if not re.search(r":\d+", image)] == []


def proxysql(name: str) -> set[str]:
    """Every value of a variable in proxysql.cnf."""
    text = (PROJECT / "compose" / "proxysql" / "proxysql.cnf").read_text()
    return set(re.findall(rf"^[^#\n]*\b{name}=([^,\s}}]+)", text, re.MULTILINE))


def test_proxysql_has_room_for_as_many_api_processes_as_the_edge_has_places_and_the_server_for_proxysql() -> None:
    a_server_takes = {int(value) for value in proxysql("max_connections")} - {512}
    from_clients = max(int(value) for value in proxysql("max_connections"))

    assert all(8 * SIZE <= most < 151 for most in a_server_takes)
    assert from_clients >= 2 * 8 * SIZE


def test_proxysql_ends_what_is_silent_as_a_server_does_and_repeats_and_mixes_nothing() -> None:
    assert proxysql("wait_timeout") == proxysql("max_transaction_idle_time") == {str(SESSION_SECONDS * 1000)}
    assert proxysql("multiplexing") == {"false"}
    assert proxysql("query_retries_on_failure") == {"0"}
    assert {int(value) for value in proxysql("connect_timeout_server(?:_max)?")} == {1000}


def test_proxysql_is_asked_seldom_and_asks_nobody() -> None:
    service = SERVICES["proxysql"]

    assert "--no-version-check" in service["command"]
    assert service["healthcheck"]["interval"] == "60s"


def test_redis_may_drop_only_what_expires_by_itself() -> None:
    command = SERVICES["redis"]["command"]

    assert command[command.index("--maxmemory-policy") + 1] == "volatile-lru"


def test_the_image_holds_all_that_its_commands_import(tmp_path: Path) -> None:
    """Copied as the Dockerfile says, of what .dockerignore lets through; nothing else of the project can be found there."""
    last = (PROJECT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    admitted = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    for *sources, target in (line.split() for line in re.findall(r"^COPY (?!--from)(.+)$", last, re.MULTILINE)):
        for source in sources:
            assert any(Path(source).is_relative_to(one) for one in admitted), f".dockerignore leaves {source} out"
            if (PROJECT / source).is_dir():
                shutil.copytree(PROJECT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (tmp_path / target).mkdir(exist_ok=True)
                shutil.copy(PROJECT / source, tmp_path / target)

    modules = "compose.deal_secrets, api.__main__, store.__main__, stream.__main__"
    imported = subprocess.run(
        (sys.executable, "-c", f"import {modules}"),
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert imported.returncode == 0, imported.stderr


@every_running_service
def test_every_service_says_whether_it_is_healthy_and_is_given_time_to_stop(name: str) -> None:
    service = SERVICES[name]

    assert service["healthcheck"]["test"]
    assert re.fullmatch(r"\d+s", service["stop_grace_period"])
    assert service["restart"] == "unless-stopped"


@every_service
def test_what_a_service_waits_for_exists_and_can_become_true(name: str) -> None:
    for other, rule in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        if (name, other) == ("api", "mysql-replica"):
            expected = "service_started"  # without it the primary is read
        assert rule["condition"] == expected
        assert "profiles" not in SERVICES[other] or rule["required"] is False


@every_service
def test_every_name_in_an_environment_is_a_setting_or_one_of_the_images(name: str) -> None:
    known = example()
    ours = SERVICES[name]["image"] == OURS

    assert [key for key in environment(name) if key not in known and (ours or not OF_IMAGES.fullmatch(key))] == []


def test_every_variable_that_is_filled_in_is_in_the_example_with_the_same_default() -> None:
    used = re.findall(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?\}", TEXT)
    lines = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", (PROJECT / ".env.example").read_text(), re.MULTILINE))

    assert [(name, default) for name, default in used if lines.get(name) != default] == []


def test_no_secret_is_written_into_it() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN_SIGNING_KEY|CREDENTIAL")
    written = {
        (name, key): value
        for name in SERVICES
        for key, value in environment(name).items()
        if (secret.search(key) and not value.startswith("/run/secrets/")) or re.search(r"://[^/]*:[^/]*@", value)
    }

    assert written == {}
    assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY", TEXT)


@every_service
def test_what_is_mounted_is_there(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source, target, *mode = mount.split(":")
        if source.startswith("./"):
            assert (PROJECT / source).exists(), source
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]
        if target.startswith("/run/"):
            assert mode == ["ro"], "only the one-shot writes secrets"


def test_only_the_api_can_sign_tokens() -> None:
    mounts = {name: " ".join(SERVICES[name].get("volumes", [])) for name in RUNNING}

    assert [name for name in RUNNING if "keys-private" in mounts[name]] == ["api"]
    assert [name for name in RUNNING if re.search(r"(^| )secrets:", mounts[name])] == []


def test_only_the_edge_can_be_reached_from_outside() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["haproxy"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert [name for name in RUNNING if "outside" in SERVICES[name]["networks"]] == ["haproxy"]


def test_the_edge_finds_both_doors_of_every_node() -> None:
    edge, node = environment("haproxy"), environment("stream")

    for name, bind in (("STREAM_DNS", "STREAM_BIND"), ("STREAM_WIRE_DNS", "STREAM_WIRE_BIND")):
        host, port = edge[name].split(":")
        assert (host, node[bind]) == ("stream", f"0.0.0.0:{port}")
    assert len({edge["STREAM_DNS"], edge["STREAM_WIRE_DNS"]}) == 2
    assert SERVICES["haproxy"]["image"] == "haproxy:3.2-alpine", "the wire needs 3.1"


@pytest.mark.parametrize("name", ["mysql-primary", "mysql-replica"])
def test_binary_logs_are_kept_for_two_days(name: str) -> None:
    assert {"--binlog-expire-logs-seconds=172800", "--max-binlog-size=64M"} <= set(SERVICES[name]["command"])


def test_any_one_broker_may_die_and_no_event_with_it() -> None:
    brokers = [name for name in RUNNING if SERVICES[name]["image"].startswith("apache/kafka:")]
    named = [environment(name)["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://") for name in brokers]
    voters = ",".join(f"{n}@{name}:9093" for n, name in enumerate(brokers, 1))

    assert [environment(name)["KAFKA_NODE_ID"] for name in brokers] == ["1", "2", "3"]
    assert len({str(SERVICES[name]["volumes"]) for name in brokers}) == 3
    assert {environment(name)["KAFKA_CONTROLLER_QUORUM_VOTERS"] for name in brokers} == {voters}
    for name in brokers:
        copies = {key: value for key, value in environment(name).items() if key.endswith(("_FACTOR", "_MIN_ISR"))}
        assert {key: "3" if key.endswith("_FACTOR") else "2" for key in copies} == copies
    for name in ("api", "stream", "storekeeper"):
        assert environment(name)["KAFKA_SERVERS"].split(",") == named
        assert environment(name)["KAFKA_REPLICATION"] == "3"
        assert set(brokers) <= SERVICES[name]["depends_on"].keys()


def test_dealing_twice_changes_nothing(tmp_path: Path) -> None:
    def dealt() -> dict[str, str]:
        deal(tmp_path / "originals", tmp_path / "for", {})
        return {str(file): file.read_text() for file in tmp_path.rglob("*") if file.is_file()}

    assert dealt() == dealt()


def test_each_reader_is_dealt_its_own_secrets_and_no_others(tmp_path: Path) -> None:
    deal(tmp_path / "originals", tmp_path / "for", {})

    dealt = {one.name: {file.name for file in one.iterdir()} for one in (tmp_path / "for").iterdir()}
    assert {reader: names for reader, names in dealt.items() if not reader.startswith("keys-")} == {
        "api": {"edge_secret", "mysql_primary", "mysql_replica", "token_signing_key"},
        "nodes": {"edge_secret"},
        "edge": {"edge_secret", "edge.pem"},
        "mysql": {"password", "root", "replication"},
        "proxysql": {"proxysql.cnf"},
    }


def test_what_is_dealt_is_all_that_api_and_nodes_need(tmp_path: Path) -> None:
    deal(tmp_path / "originals", tmp_path / "for", {"MYSQL_REPLICA_AT": "proxysql:6034"})

    api = ApiSettings(_secrets_dir=tmp_path / "for" / "api")
    node = Settings(_secrets_dir=tmp_path / "for" / "nodes")
    assert (api.mysql_primary.host, api.mysql_replica.host, api.mysql_replica.port) == (
        "mysql-primary",
        "proxysql",
        6034,
    )
    assert api.edge_secret == node.edge_secret
    assert str(api.token_signing_key) == "/run/keys/private"
    signer = Signer(tmp_path / "for" / "keys-private", "i", "a", 60)
    token, _ = signer.sign(7, str(uuid4()), now=1_000)
    assert Verifier(tmp_path / "for" / "keys-public", "i", "a").verify(token, now=1_000).uid == 7


def test_a_rotated_key_is_dealt_and_the_old_one_counts_until_its_tokens_have_expired(tmp_path: Path) -> None:
    deal(tmp_path / "originals", tmp_path / "for", {})
    private, public = tmp_path / "for" / "keys-private", tmp_path / "for" / "keys-public"
    old, _ = Signer(private, "i", "a", 60).sign(7, str(uuid4()))

    deal(tmp_path / "originals", tmp_path / "for", {}, rotating=True)
    new, _ = Signer(private, "i", "a", 60).sign(8, str(uuid4()))

    assert [Verifier(public, "i", "a").verify(token).uid for token in (old, new)] == [7, 8]
    assert (len(list(private.iterdir())), len(list(public.iterdir()))) == (1, 2)
    for file in (tmp_path / "originals" / "keys" / "public").iterdir():
        os.utime(file, (0, 0))
    deal(tmp_path / "originals", tmp_path / "for", {})
    assert [file.name for file in public.iterdir()] == [file.name for file in private.iterdir()]


def test_proxysql_and_mysql_get_the_password_of_the_api(tmp_path: Path) -> None:
    deal(tmp_path / "originals", tmp_path / "for", {})
    password = ApiSettings(_secrets_dir=tmp_path / "for" / "api").mysql_primary.password

    assert (tmp_path / "for" / "mysql" / "password").read_text() == password
    assert f'password="{password}"' in (tmp_path / "for" / "proxysql" / "proxysql.cnf").read_text()


def test_docker_compose_accepts_it() -> None:
    """Where the compose plugin is; the other tests hold everywhere."""
    docker = ("docker", "compose", "--file", "compose.yaml", "--profile", "proxysql")
    try:
        subprocess.run((*docker, "version"), check=True, capture_output=True, timeout=60)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no docker compose here")

    checked = subprocess.run(
        (*docker, "config", "--quiet"), check=False, cwd=PROJECT, capture_output=True, text=True, timeout=60
    )

    assert (checked.returncode, checked.stderr) == (0, "")
