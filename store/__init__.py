"""What lasts, and what the rooms agree on: events, cursors, tokens, Kafka, MongoDB, Redis and the storekeeper."""
