#!/bin/sh
# Healthy: our user can read over the network, and a replica (argument) follows its primary.
query() {
    MYSQL_PWD="$(cat "/run/secrets/$1")" mysql --protocol=tcp --host=127.0.0.1 --user="$2" --connect-timeout=3 -Nse "$3"
}
query password stickyfeed "USE stickyfeed" || exit 1
[ "$1" = replica ] || exit 0
both="SELECT COUNT(*) FROM performance_schema.replication_connection_status c
      JOIN performance_schema.replication_applier_status a USING (CHANNEL_NAME)
      WHERE c.SERVICE_STATE = 'ON' AND a.SERVICE_STATE = 'ON'"
[ "$(query root root "$both")" = 1 ]
