"""What every installer uses: commands with a deadline, one installer at a time, progress lines, errors with a remedy."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_LOCK_WITHIN = 900.0


class InstallError(Exception):
    """Something cannot be had; the text says what, what happened, and what to do."""


class PersonNeeded(InstallError):
    """Only a person with more rights can go on; the text is the exact command."""


def run(command: Sequence[str], *, within: float, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """The command's output. Raises InstallError with the end of it if it fails or takes longer than `within` seconds."""
    shown = " ".join(command)[:200]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
            check=False,
        )
    except FileNotFoundError:
        raise InstallError(f"there is no command {command[0]}, needed for: {shown}") from None
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"took more than {within:.0f} s: {shown}\n{_tail(error.stdout)}") from None
    if done.returncode != 0:
        raise InstallError(f"exit code {done.returncode}: {shown}\n{_tail(done.stdout)}")
    return done.stdout.decode(errors="replace")


def _tail(output: bytes | None) -> str:
    return "\n".join(f"    {line}" for line in (output or b"").decode(errors="replace").splitlines()[-15:])


@contextmanager
def one_at_a_time(directory: Path, what: str) -> Iterator[None]:
    """Holds the lock of one thing. Another process that installs it is waited for, 15 minutes at most."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{what}.lock"
    with path.open("a") as lock:
        deadline = time.monotonic() + _LOCK_WITHIN
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InstallError(
                        f"another process has been installing {what} for 15 minutes (it holds {path}): end it"
                    ) from None
                time.sleep(0.1)
        yield


@contextmanager
def step(name: str, what: str) -> Iterator[None]:
    """A progress line when something that takes a while begins, and the time it took. An InstallError gets to know its step."""
    print(f"  {name:<14} {what} ...", flush=True)
    began = time.monotonic()
    try:
        yield
    except PersonNeeded:
        raise
    except InstallError as error:
        raise InstallError(f"{name}: {what} failed: {error}") from error
    print(f"  {name:<14} done   {time.monotonic() - began:.1f} s", flush=True)
