#!/bin/sh
# Starts Redis. The password goes into a file in memory: command lines can be read by others.
set -eu
umask 077
{
  cat /etc/rededge/redis.conf
  printf 'requirepass %s\n' "$REDIS_PASSWORD"
} >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf "$@"
