"""The wire: a node's second door, spoken to by HAProxy over h2c, where the streams of many users share a few connections."""
