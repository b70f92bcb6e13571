-- The ends of sessions that wait for Kafka are looked for each second while anything waits: see untold_ends.py.
-- One statement to whoever splits this, which may be run again: MySQL has no ADD KEY IF NOT EXISTS.
SET @add_key = IF(EXISTS (SELECT 1 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'outbox' AND index_name = 'outbox_type'),
    'DO 0', 'ALTER TABLE outbox ADD KEY outbox_type (type, id)'); PREPARE add_key FROM @add_key; EXECUTE add_key; DEALLOCATE PREPARE add_key;
