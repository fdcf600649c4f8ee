#!/bin/sh
# Starts Redis. The passwords are written to a file in memory, because other users can read command lines.
# REDIS_MAXMEMORY is the memory limit of Redis.
set -eu
umask 077
{
  cat /etc/rededge/redis.conf
  printf 'requirepass %s\n' "$REDIS_PASSWORD"
  printf 'user viewer on >%s resetkeys resetchannels -@all %s\n' "$REDIS_VIEWER_PASSWORD" \
    "$(cat /usr/local/lib/rededge/viewer.rules)"
  printf 'maxmemory %s\n' "${REDIS_MAXMEMORY:-2gb}"
} >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf "$@"
