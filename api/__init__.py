"""The way in: accounts, sessions, friends and posts, kept in MySQL, and the outbox that tells Kafka what happened."""
