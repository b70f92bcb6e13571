"""A MySQL server: MariaDB's or Oracle's from PATH, else Debian's MariaDB; and an empty data directory to copy."""

import getpass
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from local.install_debian import ensure_command, find_command
from local.install_steps import InstallError, one_at_a_time, run, step

_INIT_WITHIN = 120


class Flavour(StrEnum):
    MARIADB = "MariaDB"
    MYSQL = "MySQL"


@dataclass(frozen=True, slots=True)
class Mysql:
    """`template` is a data directory as a first start leaves it; copying it is ten times quicker than making one."""

    server: Path
    flavour: Flavour
    template: Path


def ensure_mysql(software: Path) -> Mysql:
    """The server, and the template for its version. Only an account that our init file makes can sign in over TCP."""
    server = ensure_command(("mariadbd", "mysqld"), "mariadb-server-core", "mariadb-client-core")
    version = _version(str(server), server.stat().st_mtime_ns)
    flavour = Flavour.MARIADB if "mariadb" in version.lower() else Flavour.MYSQL
    key = hashlib.sha256(f"{version} {getpass.getuser()}".encode()).hexdigest()[:10]
    mysql = Mysql(server, flavour, software / f"mysql-template-{key}")
    if not mysql.template.exists():
        with one_at_a_time(software, "mysql"):
            if not mysql.template.exists():
                with step("mysql", f"making an empty data directory for {flavour}"):
                    _make(mysql)
    return mysql


@cache
def _version(server: str, _changed_at: int) -> str:
    return subprocess.run(
        (server, "--no-defaults", "--version"), capture_output=True, text=True, timeout=20, check=True
    ).stdout


def _make(mysql: Mysql) -> None:
    half = mysql.template.with_name("mysql-half-made")
    shutil.rmtree(half, ignore_errors=True)
    user = getpass.getuser()
    if mysql.flavour is Flavour.MYSQL:
        create = (str(mysql.server), "--no-defaults", "--initialize-insecure")
        run((*create, f"--user={user}", f"--datadir={half}"), within=_INIT_WITHIN)
        (half / "auto.cnf").unlink(missing_ok=True)  # the server's own id: a primary and its replica must not share one
    else:
        tool = find_command("mariadb-install-db", "mysql_install_db")
        if tool is None:
            raise InstallError(
                f"{mysql.server} is there and mariadb-install-db is not: apt-get install mariadb-server-core"
            )
        run(
            (
                str(tool),
                "--no-defaults",
                f"--datadir={half}",
                f"--user={user}",
                "--skip-test-db",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={user}",
                "--innodb-log-file-size=16M",
            ),
            within=_INIT_WITHIN,
        )
    half.rename(mysql.template)
