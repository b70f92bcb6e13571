# Sourced by the image at the first start, after it has made our database and its user: the account the replica reads with.
if ! command -v docker_process_sql > /dev/null; then
    echo "$0 is sourced by the image, not run: take its executable bit away (chmod 644)" >&2
    exit 1
fi
docker_process_sql <<SQL
CREATE USER 'replication'@'%' IDENTIFIED BY '$(cat /run/secrets/replication)';
GRANT REPLICATION SLAVE ON *.* TO 'replication'@'%';
SQL
