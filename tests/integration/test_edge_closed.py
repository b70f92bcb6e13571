"""Whatever breaks in the hook, the edge stays shut: each way of breaking it is tried in a copy."""

import re
import shutil
from pathlib import Path

import pytest

from tests.integration.edge_answer import lines_of
from tests.integration.edge_system import PROJECT, binaries, edge, version_of

CHECKS = "local function check_token(txn, kind)\n"
PASSES = '  txn:set_var("txn.passed", 1)\n'

BREAKS = {
    "it fails at its first line": (CHECKS, CHECKS + '  error("planted")\n'),
    "it fails before its last line": (PASSES, '  error("planted")\n' + PASSES),
    "it never ends": (CHECKS, CHECKS + "  while true do end\n"),
    "it never ends after all is set but its last word": (PASSES, "  while true do end\n" + PASSES),
    "it returns without a word": (CHECKS, CHECKS + "  do return end\n"),
    "it fails in the middle of its answer": (
        "  local identity, wrong, reason",
        '  error("planted")\n  local identity, wrong, reason',
    ),
    "a signature check that throws": ("pcall(txn.c.jwt_verify, ", "pcall(error, "),
    "a signature check that answers true": ("return ok and verdict == 1", "return ok and verdict == true"),
}
# These the hook notices itself, and takes the token for bad.
REFUSES = {"a signature check that throws", "a signature check that answers true"}


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
@pytest.mark.parametrize("name", BREAKS)
async def test_a_broken_hook_lets_nobody_in(binary: str, name: str, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "haproxy", tmp_path / "haproxy")
    hook = tmp_path / "haproxy" / "hook.lua"
    good, broken = BREAKS[name]
    text = hook.read_text()
    assert text.count(good) == 1
    hook.write_text(text.replace(good, broken))
    config = tmp_path / "haproxy" / "haproxy.cfg"
    # What never ends is ended sooner here: the one state is held meanwhile.
    patient = "tune.lua.session-timeout 1s"
    assert patient in config.read_text()
    config.write_text(config.read_text().replace(patient, "tune.lua.session-timeout 100ms"))

    async with edge(binary, tmp_path, project=tmp_path) as running:
        token = running.mint.good()
        answers = [await running.ask(target, token=token) for target in ("/v1/me", "/v1/ws")]
        stream = await running.ask("/v1/stream", token=token)
        public = await running.ask("/v1/auth/keys")

        if name in REFUSES:
            assert {(answer.status, answer.error) for answer in (*answers, stream)} == {(401, "token-invalid")}
        else:
            assert {(answer.status, answer.error) for answer in answers} == {(503, "unavailable")}
            assert all(answer.header("retry-after") for answer in answers)
            # A browser never comes back after an error.
            assert (stream.status, stream.header("content-type")) == (200, "text/event-stream")
            assert re.fullmatch(rb"retry: [2-6]\d{3}\n\n", stream.body)
            assert [line["reason"] for line in lines_of(running.logged()) if line["path"] == "/v1/me"] == ["hook"]
        assert public.status == 200
        assert sum(node.requests for node in running.nodes.values()) == 1


@pytest.mark.parametrize("binary", binaries(), ids=version_of)
async def test_a_key_that_openssl_refuses_lets_nobody_in_and_breaks_nothing(binary: str, tmp_path: Path) -> None:
    async with edge(binary, tmp_path) as running:
        mint = running.mint
        # The form of a P-256 key, but its point is not on the curve.
        good = mint.publish("es-00000009", mint.stranger).decode().splitlines()
        good[2] = "A" * len(good[2])
        (mint.directory / "es-00000009.pem").write_text("\n".join(good) + "\n")
        header, payload, signature = mint.good().split(".")
        del header
        kid = mint.raw(b'{"alg":"ES256","typ":"JWT","kid":"es-00000009"}', b"{}").split(".")[0]

        answers = [await running.ask("/v1/me", token=f"{kid}.{payload}.{signature}") for _ in range(3)]

        assert {(answer.status, answer.error) for answer in answers} == {(401, "token-invalid")}
        assert (await running.ask("/v1/me", token=mint.good())).status == 200
        assert "runtime error" not in running.logged()
