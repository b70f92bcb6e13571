#!/bin/bash
# The part of the official entry point that compose.yaml relies on: options, passwords from files, and initdb.d with
# docker_process_sql, run by a server that nobody can reach yet.
set -eo pipefail
socket=/var/run/mysqld/mysqld.sock
usual=(--datadir=/var/lib/mysql --socket="$socket" --pid-file=/var/run/mysqld/mysqld.pid --secure-file-priv=NULL)

if [ "${1#-}" != "$1" ]; then set -- mysqld "$@"; fi
if [ "$1" != mysqld ]; then exec "$@"; fi
shift
if [ "$(id -u)" = 0 ]; then
    chown mysql:mysql /var/lib/mysql /var/run/mysqld
    exec setpriv --reuid=mysql --regid=mysql --clear-groups bash "${BASH_SOURCE[0]}" mysqld "$@"
fi

docker_process_sql() {
    MYSQL_PWD="$root" mysql --protocol=socket --socket="$socket" -uroot --comments "$@"
}

if [ ! -d /var/lib/mysql/mysql ]; then
    root="$(cat "$MYSQL_ROOT_PASSWORD_FILE")"
    mysqld "${usual[@]}" --initialize-insecure "$@"
    mysqld "${usual[@]}" --skip-networking --daemonize --log-error=/var/lib/mysql/init.log "$@"
    ROOT="$root" root='' docker_process_sql <<SQL
SET @@SESSION.SQL_LOG_BIN=0;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$root';
CREATE USER 'root'@'%' IDENTIFIED BY '$root';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
    if [ -n "$MYSQL_DATABASE" ]; then
        docker_process_sql <<< "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
    fi
    if [ -n "$MYSQL_USER" ]; then
        docker_process_sql <<SQL
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$(cat "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%';
SQL
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) docker_process_sql < "$file" ;;
        esac
    done
    MYSQL_PWD="$root" mysqladmin --protocol=socket --socket="$socket" -uroot shutdown
    while [ -e "$socket" ]; do sleep 0.2; done
fi
exec mysqld "${usual[@]}" "$@"
