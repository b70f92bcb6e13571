# Sourced by the image at the first start, after it has made our database and its user: the account the replica reads with.
docker_process_sql <<SQL
CREATE USER 'replication'@'%' IDENTIFIED BY '$(cat /run/secrets/replication)';
GRANT REPLICATION SLAVE ON *.* TO 'replication'@'%';
SQL
