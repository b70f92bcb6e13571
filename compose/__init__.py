"""What `docker compose` needs beside the images: the secrets at the first start, and the servers' scripts."""
