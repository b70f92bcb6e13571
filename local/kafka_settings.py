"""How our Kafka is configured."""

from pathlib import Path

# Every directory holds a cluster of its own, so one id for all is as good as any; 22 characters of base64url.
CLUSTER_ID = "c3RpY2t5ZmVlZC1sb2NhbA"

# A small heap and one compiler: 150 MB in all, and up in 2 s.
JVM_OPTIONS = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k")

LOGGING = """rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
"""


def server_properties(log: Path, port: int, controller_port: int) -> str:
    """The configuration of a small and quick single node. Timers are short so that a killed broker is back within 3 s."""
    return "\n".join(
        f"{key}={value}"
        for key, value in {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": log,
            # Topics are made on purpose, with their final number of partitions.
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.segment.bytes": 16 * 1024 * 1024,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.segment.bytes": 16 * 1024 * 1024,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # A killed broker is refused until its old session has ended.
            "broker.session.timeout.ms": 1000,
            "broker.heartbeat.interval.ms": 250,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "log.cleaner.io.buffer.size": 128 * 1024,
            "log.segment.bytes": 64 * 1024 * 1024,
            "log.initial.task.delay.ms": 1000,
            "metadata.max.idle.interval.ms": 5000,
        }.items()
    )
