"""Whatever breaks in the hook, the edge stays shut: each way of breaking it is tried in a copy."""

import shutil
from pathlib import Path

import pytest

from tests.integration.edge_system import PROJECT, binaries, edge, version_of

CHECKS = "local function check_token(txn, kind)\n"
PASSES = '  txn:set_var("txn.passed", 1)\n'

BREAKS = {
    "it fails at its first line": (CHECKS, CHECKS + '  error("planted")\n'),
    "it fails before its last line": (PASSES, '  error("planted")\n' + PASSES),
    "it never ends": (CHECKS, CHECKS + "  while true do end\n"),
    "it never ends after all is set but its last word": (PASSES, "  while true do end\n" + PASSES),
    "it returns without a word": (CHECKS, CHECKS + "  do return end\n"),
    "a signature check that throws": ("pcall(txn.c.jwt_verify, ", "pcall(error, "),
    "a signature check that answers true": ("return ok and verdict == 1", "return ok and verdict == true"),
}


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
        targets = ("/v1/me", "/v1/stream", "/v1/ws")
        answers = [await running.ask(target, token=token) for target in targets]
        public = await running.ask("/v1/auth/keys")

        assert {(answer.status, answer.error) for answer in answers} == {(401, "token-invalid")}
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
