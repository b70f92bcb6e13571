-- The greatest id of an author whose ids began again at the clock, because the database's clock had been far ahead: see actions.py.
-- A primary that has it has not been set back, though the author's newest event is older: see numbers.py.
CREATE TABLE IF NOT EXISTS events_from_ahead (
    author BIGINT NOT NULL,
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (author)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
