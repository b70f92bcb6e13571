"""Apache Kafka: its jars from Maven Central, a JDK to run them, and an archive of classes for quick starts."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from local.install_debian import find_command, install_packages, version_of
from local.install_steps import InstallError, one_at_a_time, run, step
from local.kafka_settings import CLUSTER_ID, JVM_OPTIONS, LOGGING, server_properties
from local.ports import free_port

VERSION = "4.4.0"
_LOG4J = "2.25.5"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_JAVA = (17,)
_MAVEN_WITHIN = 600
_DUMP_WITHIN = 120

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{_LOG4J}</version></dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True, slots=True)
class Kafka:
    """`archive` is a class-data archive for exactly this JDK and class path, or a file that does not exist."""

    java: Path
    jars: tuple[Path, ...]
    archive: Path

    @property
    def class_path(self) -> str:
        return ":".join(map(str, self.jars))

    def command(self, *options: str, log4j: Path) -> tuple[str, ...]:
        """The JVM's command line up to the main class. Writes the logging configuration if it is missing."""
        if not log4j.exists():
            log4j.write_text(LOGGING)
        shared = (f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto") if self.archive.exists() else ()
        return (str(self.java), *options, *shared, f"-Dlog4j2.configurationFile={log4j}", "-cp", self.class_path)


def ensure_kafka(software: Path) -> Kafka:
    """Kafka and a Java 17 or later. Fetches 44 MB of jars the first time, and then makes the archive (about 5 s)."""
    java = find_java() or _install_java()
    jars = _find_jars(software)
    if not jars:
        with one_at_a_time(software, "kafka"):
            if not _find_jars(software):
                with step("kafka", f"fetching Apache Kafka {VERSION}'s jars with Maven"):
                    _fetch(software / f"kafka-{VERSION}")
        jars = _find_jars(software)
    # The archive is tied to the JDK and to the class path, order included.
    key = f"{java.resolve()} {java.stat().st_mtime_ns} {':'.join(map(str, jars))} {' '.join(JVM_OPTIONS)}"
    kafka = Kafka(java, jars, software / f"kafka-{hashlib.sha256(key.encode()).hexdigest()[:10]}.jsa")
    if not kafka.archive.exists():
        with one_at_a_time(software, "kafka"):
            if not kafka.archive.exists():
                with step("kafka", "archiving its classes for quicker starts"):
                    _dump(kafka)
    return kafka


def find_java() -> Path | None:
    """JAVA_HOME's or PATH's, if it is 17 or later."""
    home = os.environ.get("JAVA_HOME")
    for java in (Path(home) / "bin" / "java" if home else None, find_command("java")):
        if java is not None and java.exists() and version_of(java, "-version") >= _JAVA:
            return java
    return None


def _install_java() -> Path:
    install_packages("default-jre-headless")
    if java := find_java():
        return java
    raise InstallError("no Java 17 or later: install a JRE and put it on PATH, or name its directory in JAVA_HOME")


def _find_jars(software: Path) -> tuple[Path, ...]:
    """Those of an installed Kafka 4 (KAFKA_HOME, or kafka-server-start.sh on PATH), else those fetched here."""
    script = find_command("kafka-server-start.sh", "kafka-server-start")
    homes = [
        os.environ.get("KAFKA_HOME"),
        script.resolve().parent.parent if script else None,
        software / f"kafka-{VERSION}",
    ]
    for home in homes:
        if home and list((Path(home) / "libs").glob("kafka_2.13-4.*.jar")):
            return tuple(sorted((Path(home) / "libs").glob("*.jar")))
    return ()


def _fetch(home: Path) -> None:
    if find_command("mvn") is None:
        install_packages("maven")
    half = home.with_name("kafka-half-fetched")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    (half / "pom.xml").write_text(_POM)
    maven = ("mvn", "-q", "-B", "-f", str(half / "pom.xml"), _PLUGIN, "-DincludeScope=runtime")
    run((*maven, f"-DoutputDirectory={half / 'libs'}"), within=_MAVEN_WITHIN)
    half.rename(home)


def _dump(kafka: Kafka) -> None:
    """Starts a throw-away Kafka once to learn which classes it loads. Failing costs a second per start, nothing else."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="stickyfeed-kafka-") as name:
        scratch = Path(name)
        properties, classes = scratch / "server.properties", scratch / "classes"
        properties.write_text(server_properties(scratch / "log", port, free_port({port})))
        base = kafka.command(*JVM_OPTIONS, log4j=scratch / "log4j2.properties")
        storage = ("kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", str(properties))
        try:
            run((*base, *storage), within=_DUMP_WITHIN)
            _run_briefly(
                (*base[:1], f"-XX:DumpLoadedClassList={classes}", *base[1:], "kafka.Kafka", str(properties)), port
            )
            half = kafka.archive.with_suffix(".half")
            dump = ("-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={half}")
            run((str(kafka.java), *JVM_OPTIONS[2:3], *dump, "-cp", kafka.class_path), within=_DUMP_WITHIN)
            half.rename(kafka.archive)
        except InstallError as error:
            print(f"  kafka          starts will be a second slower: {error}", flush=True)


def _run_briefly(command: tuple[str, ...], port: int) -> None:
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            deadline = time.monotonic() + _DUMP_WITHIN / 2
            while time.monotonic() < deadline and child.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            time.sleep(1)
            child.send_signal(signal.SIGTERM)
            child.wait(_DUMP_WITHIN / 4)
        except subprocess.TimeoutExpired:
            raise InstallError("a throw-away Kafka did not end") from None
        finally:
            child.kill()
