#!/bin/sh
# Starts Redis. The passwords go into a file in memory: command lines can be read by others.
# REDIS_MAXMEMORY is what Redis may take.
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
