#!/bin/sh
# A class of Kafka with the heap that KAFKA_HEAP_OPTS names, as Apache's kafka-run-class.sh does it.
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} -XX:+UseSerialGC -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties \
    -cp '/opt/kafka/libs/*' "$@"
