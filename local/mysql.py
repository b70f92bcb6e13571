"""MariaDB or MySQL: a primary, and a replica that follows it by GTID."""

import getpass
import shutil
from collections.abc import Awaitable, Callable

import aiomysql

from local.install_mysql import Flavour, Mysql, ensure_mysql
from local.keys import write_private
from local.site import Site
from local.spec import Spec

DATABASE = USER = "stickyfeed"
_ADMIN, _REPLICATION = "local_admin", "local_replication"
PRIMARY, REPLICA = "mysql-primary", "mysql-replica"


def dsn(site: Site, name: str, user: str = USER) -> str:
    return f"mysql://{user}:{site.secrets[f'mysql-{user}']}@{site.at_port(name)}/{DATABASE}"


def primary(site: Site, name: str = PRIMARY) -> Spec:
    """Ready when our user can read and write in our database. A commit that was answered is on the disk."""

    async def ready() -> None:
        async with _connect(site, name, USER) as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT 1")

    offers = {"MYSQL_PRIMARY": dsn(site, name), "MYSQL_PRIMARY_ADMIN": dsn(site, name, _ADMIN)}
    return _spec(site, name, ready, server_id=1, offers=offers)


def replica(site: Site, name: str = REPLICA) -> Spec:
    """Ready when it follows the primary. It refuses writes."""
    mysql = ensure_mysql(site.place.software)

    async def ready() -> None:
        async with _connect(site, name, _ADMIN) as connection, connection.cursor(aiomysql.DictCursor) as cursor:
            await _follow(site, mysql, cursor)

    offers = {"MYSQL_REPLICA": dsn(site, name), "MYSQL_REPLICA_ADMIN": dsn(site, name, _ADMIN)}
    return _spec(
        site, name, ready, server_id=2, offers=offers, more=("--read-only=ON", "--relay-log=relay"), after=(PRIMARY,)
    )


async def _follow(site: Site, mysql: Mysql, cursor: aiomysql.DictCursor) -> None:
    """Points it at the primary's present port, unless it does so already, and raises until it follows."""
    maria = mysql.flavour is Flavour.MARIADB
    source, word = ("MASTER", "SLAVE") if maria else ("SOURCE", "REPLICA")
    await cursor.execute(f"SHOW {word} STATUS")
    status = await cursor.fetchone() or {}
    prefix = "Slave" if maria else "Replica"
    running = [status.get(f"{prefix}_{thread}_Running") for thread in ("IO", "SQL")]
    if running == ["Yes", "Yes"] and status[f"{source.title()}_Port"] == site.ports[PRIMARY]:
        return
    if not status or status[f"{source.title()}_Port"] != site.ports[PRIMARY]:
        if status:
            await cursor.execute(f"STOP {word}")
        follow = "MASTER_USE_GTID=slave_pos" if maria else "SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1"
        await cursor.execute(
            f"CHANGE {'MASTER' if maria else 'REPLICATION SOURCE'} TO {source}_HOST='127.0.0.1', "
            f"{source}_PORT={site.ports[PRIMARY]}, {source}_USER='{_REPLICATION}', "
            f"{source}_PASSWORD='{site.secrets[f'mysql-{_REPLICATION}']}', {source}_CONNECT_RETRY=1, {follow}"
        )
        await cursor.execute(f"START {word}")
    errors = [status.get(f"Last_{thread}_Error") for thread in ("IO", "SQL")]
    raise RuntimeError(f"does not follow the primary yet: {errors if any(errors) else running}")


def _spec(
    site: Site,
    name: str,
    ready: Callable[[], Awaitable[None]],
    *,
    server_id: int,
    offers: dict[str, str],
    more: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
) -> Spec:
    mysql = ensure_mysql(site.place.software)
    directory, init = site.data(name) / "data", site.place.secrets / f"{name}.sql"

    async def prepare() -> None:
        if not directory.exists():
            half = directory.with_name("half-copied")
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(mysql.template, half)
            half.rename(directory)
        write_private(init, _accounts(site))

    maria = mysql.flavour is Flavour.MARIADB
    options = {
        "user": getpass.getuser(),
        "datadir": directory,
        "bind-address": "127.0.0.1",
        "port": site.ports[name],
        "socket": site.place.sockets / f"{name}.sock",
        "pid-file": site.data(name) / "pid",
        "init-file": init,
        "server-id": server_id,
        "log-bin": "bin",
        "binlog-format": "ROW",
        # MariaDB's default is never, MySQL's 30 days. A replica that was away for longer is made anew. Only a file that is
        # full, or a start, makes a server look.
        "binlog-expire-logs-seconds": 2 * 86_400,
        "max-binlog-size": "64M",
        # What was answered survives kill -9 and power loss.
        "innodb-flush-log-at-trx-commit": 1,
        "sync-binlog": 1,
        "innodb-buffer-pool-size": "64M",
        "character-set-server": "utf8mb4",
        "max-connections": 200,
        # `localhost` then means the socket only, where no stranger comes.
        "skip-name-resolve": "ON",
        "performance-schema": "OFF",
        "replica-net-timeout" if not maria else "slave-net-timeout": 10,
        "relay-log-recovery": "ON",
        **(_MARIADB if maria else _MYSQL),
    }
    return Spec(
        name=name,
        command=(str(mysql.server), "--no-defaults", *(f"--{key}={value}" for key, value in options.items()), *more),
        prepare=prepare,
        offers=offers,
        addresses=(site.at_port(name),),
        ready=ready,
        after=after,
        stop_within=30,
    )


_MARIADB = {
    "gtid-strict-mode": "ON",
    "log-slave-updates": "ON",
    "innodb-log-file-size": "16M",
}
_MYSQL = {
    "gtid-mode": "ON",
    "enforce-gtid-consistency": "ON",
    "mysqlx": "OFF",
    "secure-file-priv": "NULL",
    "innodb-redo-log-capacity": "32M",
}


def _accounts(site: Site) -> str:
    """SQL that both servers run at every start, outside their binary logs, so that neither replicates it to the other."""
    rights = {
        USER: f"ALL ON {DATABASE}.*",
        _REPLICATION: "REPLICATION SLAVE ON *.*",
        _ADMIN: "ALL ON *.*",
    }
    lines = ["SET sql_log_bin=0;", f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;"]
    for user, right in rights.items():
        password = site.secrets[f"mysql-{user}"]
        lines += [
            f"CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';",
            f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';",
            f"GRANT {right} TO '{user}'@'%';",
        ]
    return "\n".join([*lines, ""])


def _connect(site: Site, name: str, user: str) -> aiomysql.Connection:
    return aiomysql.connect(
        host="127.0.0.1",
        port=site.ports[name],
        user=user,
        password=site.secrets[f"mysql-{user}"],
        db=DATABASE,
        autocommit=True,
        connect_timeout=2,
    )
