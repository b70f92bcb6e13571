-- The id of each author's newest event, so that the next one is greater whatever the clocks of two processes say: see actions.py.
CREATE TABLE IF NOT EXISTS last_events (
    author BIGINT NOT NULL,
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (author)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
