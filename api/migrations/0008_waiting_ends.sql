-- The ends of sessions among the events that wait in the outbox: see untold_ends.py. An index on the outbox would do as well, but
-- with a second one its writers and deleters wait for each other in two orders, and MySQL ends one of them (1213).
CREATE TABLE IF NOT EXISTS waiting_ends (
    outbox_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    session_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (outbox_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
