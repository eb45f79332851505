"""Track an event, then ask what to recommend. Needs RECSAAS_KEY; RECSAAS_URL is where the service answers.

The standard library is enough.
"""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("RECSAAS_URL", "http://127.0.0.1:8000")
KEY = os.environ["RECSAAS_KEY"]


def post(path, body):
    """Send JSON, return JSON. A refusal says what to do about it."""
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        error = json.load(refusal)["error"]
        raise SystemExit(
            f"{refusal.code} {error['code']}: {error['message']} (request {error['request_id']})"
        ) from None


user, item, event_id = (sys.argv[1:] + ["user-17", "item-1", "view-1"][len(sys.argv) - 1 :])[:3]

# The event_id makes a retry harmless: the same one again changes nothing.
post("/api/v1/interactions", {"user_id": user, "item_id": item, "interaction_type": "view", "event_id": event_id})

answer = post("/api/v1/recommendations", {"user_id": user, "count": 3})
for each in answer["recommendations"]:
    print(f"{each['rank']}. {each['item_id']} {each['title']} ({each['source']}: {each['reason']})")
