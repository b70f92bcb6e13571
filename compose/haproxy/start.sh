#!/bin/sh
# HAProxy reads its settings from the environment alone, and a secret must not stand in the container's description.
EDGE_SECRET="$(cat /run/secrets/edge_secret)" || exit 1
export EDGE_SECRET
exec haproxy -W -db -f haproxy/haproxy.cfg
