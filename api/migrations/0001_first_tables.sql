-- Right on MySQL 8.4 and later and on MariaDB 10.11 and later. Every statement may be run again: DDL commits by itself.

CREATE TABLE IF NOT EXISTS users (
    id BIGINT NOT NULL AUTO_INCREMENT,
    username VARCHAR(32) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    password VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    gender CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NULL,
    created_at DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_username (username)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS sessions (
    id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id BIGINT NOT NULL,
    created_at DATETIME(3) NOT NULL,
    expires_at DATETIME(3) NOT NULL,
    ended_at DATETIME(3) NULL,
    PRIMARY KEY (id),
    KEY sessions_user (user_id),
    KEY sessions_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Only the SHA-256 of a token is kept. A used one stays until it expires, so that its reuse is seen.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash BINARY(32) NOT NULL,
    session_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at DATETIME(3) NOT NULL,
    used_at DATETIME(3) NULL,
    PRIMARY KEY (hash),
    KEY refresh_tokens_session (session_id),
    KEY refresh_tokens_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- A pair that was unfollowed keeps its row, so that seq never starts again. No foreign key on followee:
-- two people who follow each other at once would wait for each other's row.
CREATE TABLE IF NOT EXISTS friends (
    follower BIGINT NOT NULL,
    followee BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    is_on BOOLEAN NOT NULL,
    PRIMARY KEY (follower, followee),
    KEY friends_followee (followee, is_on)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS posts (
    id BIGINT NOT NULL AUTO_INCREMENT,
    author BIGINT NOT NULL,
    text VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    KEY posts_author (author, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- What happened and Kafka has not acknowledged yet. Ids of one author are in the order of commits: see actions.py.
CREATE TABLE IF NOT EXISTS outbox (
    id BIGINT NOT NULL AUTO_INCREMENT,
    actor BIGINT NOT NULL,
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    body MEDIUMBLOB NOT NULL,
    created_at DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    KEY outbox_actor (actor, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
