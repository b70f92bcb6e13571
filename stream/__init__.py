"""The way out: open streams, replay and delivery. A node owns nothing durable."""
