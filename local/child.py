"""A child process that cannot outlive this one, and the file it logs to."""

import asyncio
import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from local.spec import Spec

_KILLED_WITHIN = 10.0
# A stream is an open file; a shell usually allows 1024.
_OPEN_FILES = 65_536
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

Child = asyncio.subprocess.Process


async def spawn(spec: Spec, log: Path) -> Child:
    """Starts it in a session of its own, with no input, appending to its log.

    When the thread that calls this ends, the kernel sends the child its death signal (prctl(2), PR_SET_PDEATHSIG).
    """
    parent, death_signal = os.getpid(), int(spec.death_signal)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)

    def tie_to_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))

    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=spec.cwd,
            env={**os.environ, **spec.environment},
            start_new_session=True,
            preexec_fn=tie_to_parent,
        )


async def end(child: Child, how: signal.Signals, within: float) -> str:
    """Ends it by that signal; kills it and all of its group if it has not ended `within` seconds. Says how it went."""
    began = asyncio.get_running_loop().time()
    with suppress(ProcessLookupError):
        child.send_signal(how)
    said = "ended"
    try:
        await asyncio.wait_for(child.wait(), within)
    except TimeoutError:
        await kill(child)
        said = "killed, for it had not ended by itself,"
    return f"{said} in {asyncio.get_running_loop().time() - began:.1f} s"


async def kill(child: Child) -> None:
    """SIGKILL for it and all of its group: a server's own children must not outlive it either."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await asyncio.wait_for(child.wait(), _KILLED_WITHIN)


def how_ended(code: int) -> str:
    """An exit code in words."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def tail_of(log: Path, lines: int = 15) -> str:
    """The last lines of a log, each indented; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)
