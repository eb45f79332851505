#!/bin/sh
# Track an event, then ask what to recommend. Needs RECSAAS_KEY; RECSAAS_URL is where the service answers.
set -eu
url=${RECSAAS_URL:-http://127.0.0.1:8000}
user=${1:-user-17}

curl --fail-with-body --silent --show-error --retry 3 --max-time 5 "$url/api/v1/interactions" \
  -H "Authorization: Bearer $RECSAAS_KEY" -H "Content-Type: application/json" \
  -d "{\"user_id\": \"$user\", \"item_id\": \"${2:-item-1}\", \"interaction_type\": \"view\", \"event_id\": \"${3:-view-1}\"}"
echo

curl --fail-with-body --silent --show-error --retry 3 --max-time 5 "$url/api/v1/recommendations" \
  -H "Authorization: Bearer $RECSAAS_KEY" -H "Content-Type: application/json" \
  -d "{\"user_id\": \"$user\", \"count\": 3}"
echo
