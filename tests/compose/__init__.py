"""compose.yaml started for real, where a Docker engine is: `make test-compose`."""
