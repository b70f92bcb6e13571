-- What all refresh tokens of a session begin with, as SHA-256: by it a token of the session is known whose own row has gone.
-- See session_rows.py.
CREATE TABLE IF NOT EXISTS refresh_families (
    hash BINARY(32) NOT NULL,
    session_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (hash),
    KEY refresh_families_session (session_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
