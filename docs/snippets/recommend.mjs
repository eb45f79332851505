// Track an event, then ask what to recommend. Needs RECSAAS_KEY; RECSAAS_URL is where the service answers.
// For Node 18 or newer, nothing to install: node recommend.mjs
const url = process.env.RECSAAS_URL ?? "http://127.0.0.1:8000";
const key = process.env.RECSAAS_KEY;
const [user = "user-17", item = "item-1", eventId = "view-1"] = process.argv.slice(2);

/** Send JSON, return JSON. A refusal says what to do about it. */
async function post(path, body) {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status} ${json.error.code}: ${json.error.message} (request ${json.error.request_id})`);
  return json;
}

// The event_id makes a retry harmless: the same one again changes nothing.
await post("/api/v1/interactions", { user_id: user, item_id: item, interaction_type: "view", event_id: eventId });

const { recommendations } = await post("/api/v1/recommendations", { user_id: user, count: 3 });
for (const { rank, item_id, title, source, reason } of recommendations) console.log(`${rank}. ${item_id} ${title} (${source}: ${reason})`);
