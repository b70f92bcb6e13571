#!/bin/sh
# Fills .venv from uv.lock: with the uv on PATH or, where there is none, with one of our own in .local/uv.
# Usage: bootstrap.sh VERSION-OF-UV
set -eu

say() { printf '  %-14s %s\n' "$1" "$2"; }

command -v python3 >/dev/null || { echo "python3 is missing: install Python 3.11 or later, then try again" >&2; exit 2; }

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=.local/uv/bin/uv
    if [ ! -x "$uv" ]; then
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
            if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
                echo "run this, then try again:  sudo apt-get install python3-venv" >&2
                exit 2
            fi
            say debian "apt-get install python3-venv"
            apt-get -q update >/dev/null
            DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends python3-venv >/dev/null
        fi
        say uv "uv $1 into .local/uv"
        python3 -m venv .local/uv
        .local/uv/bin/pip install --quiet --disable-pip-version-check "uv==$1"
    fi
fi
[ -d .venv ] || say python "packages of uv.lock into .venv"
"$uv" sync --frozen --quiet
