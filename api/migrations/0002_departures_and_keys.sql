-- People whose accounts are gone and whose rows elsewhere are still to be taken out: see departures.py.
CREATE TABLE IF NOT EXISTS departures (
    user_id BIGINT NOT NULL,
    at DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Posts that were sent with an Idempotency-Key, and what was sent, as SHA-256: see post_keys.py.
CREATE TABLE IF NOT EXISTS post_keys (
    user_id BIGINT NOT NULL,
    name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body BINARY(32) NOT NULL,
    post BIGINT NOT NULL,
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id, name),
    KEY post_keys_age (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
