#!/bin/sh
# KAFKA_LOG_DIRS=x becomes log.dirs=x, as in the official image; a directory that is formatted already stays as it is.
set -e
config=/opt/kafka/config/server.properties
env | grep '^KAFKA_' | grep -Ev '^KAFKA_(HEAP_OPTS|OPTS)=' | while IFS='=' read -r name value; do
    echo "$(echo "${name#KAFKA_}" | tr 'A-Z_' 'a-z.')=$value"
done > "$config"
/opt/kafka/bin/run-class.sh kafka.tools.StorageTool format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$config"
exec /opt/kafka/bin/run-class.sh kafka.Kafka "$config"
