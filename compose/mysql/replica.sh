# Sourced by the image at the first start: from here on everything, accounts and database too, comes from the primary.
# Replication starts with the real server, after this one that only initializes.
if ! command -v docker_process_sql > /dev/null; then
    echo "$0 is sourced by the image, not run: take its executable bit away (chmod 644)" >&2
    exit 1
fi
docker_process_sql <<SQL
RESET BINARY LOGS AND GTIDS;
CHANGE REPLICATION SOURCE TO
    SOURCE_HOST = 'mysql-primary', SOURCE_USER = 'replication', SOURCE_PASSWORD = '$(cat /run/secrets/replication)',
    SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 4294967295, GET_SOURCE_PUBLIC_KEY = 1;
SET PERSIST_ONLY super_read_only = ON;
SQL
