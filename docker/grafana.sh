#!/bin/sh
# Copies the dashboards from $1 to $2, inserts the address and token of the video, then runs the remaining arguments.
# Grafana replaces environment variables in data sources, but not in dashboards.
set -eu
from=$1 to=$2
shift 2
umask 077
mkdir -p "$to"
for file in "$from"/*.json; do
  sed "s|http://127.0.0.1:5000/video?|$VIDEO_URL?token=$REDEDGE_WEB_TOKEN\&|g" "$file" >"$to/${file##*/}"
done
exec "$@"
