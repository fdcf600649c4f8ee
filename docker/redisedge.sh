#!/bin/sh
# Starts Redis. The passwords are written to a file in memory, because other users can read command lines.
# REDIS_PASSWORD is that of the user `default`, REDIS_VIEWER_PASSWORD and so on are those of the others.
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
# Redis needs up to twice its data for a short time, when it writes all of it to the disk.
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
if [ "$limit" != max ] && [ "$limit" -lt $((bytes * 2)) ]; then
  echo "REDIS_MAXMEMORY is $maxmemory, but the container has only $limit bytes: give it at least twice as much with" \
    "REDIS_CONTAINER_MEMORY in .env" >&2
  exit 1
fi
# What one connection may leave unread, as in rededge_nb/edge/server/memory.py: an eighth, from 16 MB to 512 MB. A worker
# receives the arguments of a call as a reply, so a call may have less than that.
unread=$((bytes / 8))
[ "$unread" -ge 16777216 ] || unread=16777216
[ "$unread" -le 536870912 ] || unread=536870912

{
  cat /etc/rededge/redis.conf
  printf '%s MAXCALL %s\n' "$(cat /usr/local/lib/rededge/rededge.conf)" "$((unread / 10 * 9))"
  printf 'requirepass %s\n' "$REDIS_PASSWORD"
  for rules in /usr/local/lib/rededge/*.rules; do
    user=$(basename "$rules" .rules)
    password=$(printenv "REDIS_$(echo "$user" | tr a-z A-Z)_PASSWORD")
    printf 'user %s on >%s resetkeys resetchannels -@all %s\n' "$user" "$password" "$(cat "$rules")"
  done
  printf 'maxmemory %s\n' "$bytes"
  printf 'client-output-buffer-limit normal %s %s 60\n' "$unread" "$((unread / 2))"
  printf 'client-output-buffer-limit pubsub %s %s 60\n' "$unread" "$((unread / 4))"
  printf 'proto-max-bulk-len %s\n' "$unread"
} >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf "$@"
