#!/bin/sh
# Starts Redis. The passwords are written to a file in memory, because other users can read command lines.
# REDIS_MAXMEMORY is the memory limit of Redis, in bytes or as 2gb, 500mb.
set -eu
umask 077

maxmemory=${REDIS_MAXMEMORY:-2gb}
case $maxmemory in
  *gb) bytes=$((${maxmemory%gb} * 1073741824)) ;;
  *mb) bytes=$((${maxmemory%mb} * 1048576)) ;;
  *kb) bytes=$((${maxmemory%kb} * 1024)) ;;
  *) bytes=$((maxmemory)) ;;
esac
# What one connection may leave unread, as in rededge_nb/edge/server/memory.py: an eighth, from 16 MB to 512 MB. A worker
# receives the arguments of a call as a reply, so a call may have less than that.
unread=$((bytes / 8))
[ "$unread" -ge 16777216 ] || unread=16777216
[ "$unread" -le 536870912 ] || unread=536870912

{
  cat /etc/rededge/redis.conf
  printf '%s MAXCALL %s\n' "$(cat /usr/local/lib/rededge/rededge.conf)" "$((unread / 10 * 9))"
  printf 'requirepass %s\n' "$REDIS_PASSWORD"
  printf 'user viewer on >%s resetkeys resetchannels -@all %s\n' "$REDIS_VIEWER_PASSWORD" \
    "$(cat /usr/local/lib/rededge/viewer.rules)"
  printf 'maxmemory %s\n' "$bytes"
  printf 'client-output-buffer-limit normal %s %s 60\n' "$unread" "$((unread / 2))"
  printf 'client-output-buffer-limit pubsub %s %s 60\n' "$unread" "$((unread / 4))"
  printf 'proto-max-bulk-len %s\n' "$unread"
} >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf "$@"
