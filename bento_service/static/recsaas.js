/* recsaas.js shows recommendations in a page, and tells the service which were seen and clicked.
   No dependencies, no cookies. How to use it: docs/snippets.md. */
(() => {
  "use strict";
  const script = document.currentScript;
  const options = { ...script.dataset };
  const api = (options.api || new URL(script.src).origin).replace(/\/+$/, "");
  const EVENTS_AT_ONCE = 50, DAY_MS = 864e5, SEEN_MS = 1000;
  let most = EVENTS_AT_ONCE, refused = false, failures = 0, notBefore = 0, timer, sending;

  // Storage may be blocked or full: then values last as long as the page.
  const memory = {};
  const storage = (area) => ({
    get(name) {
      if (name in memory) return memory[name];
      try { return window[area].getItem(`recsaas.${name}`); } catch { return null; }
    },
    set(name, value) {
      try { window[area].setItem(`recsaas.${name}`, value); delete memory[name]; } catch { memory[name] = value; }
    },
  });
  const local = storage("localStorage"), visit = storage("sessionStorage");
  const read = (area, name, otherwise) => {
    try { return JSON.parse(area.get(name)) ?? otherwise; } catch { return otherwise; }
  };
  const uid = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const tracking = () => options.track !== "off";
  const made = (area, name) => {
    if (!tracking()) return undefined;
    if (!area.get(name)) area.set(name, `${name}-${uid()}`);
    return area.get(name);
  };
  const user = () => options.user || made(local, "visitor");
  const session = () => made(visit, "session");

  async function post(path, body, keepalive) {
    const answer = await fetch(api + path, {
      method: "POST",
      headers: { Authorization: `Bearer ${options.key}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      keepalive,
      signal: AbortSignal.timeout(5000),
    });
    if ([401, 403].includes(answer.status)) {
      if (!refused) console.warn("recsaas: the key is not valid, or lacks a scope");
      refused = true;
    }
    return answer;
  }

  // Events wait here until they are stored: what leaving the page cuts off, the next page sends again, and
  // the event_id keeps it from counting twice; sendBeacon carries no key.
  const waiting = () => read(local, "events", []).filter((e) => Date.now() - e.at < DAY_MS);
  const keep = (events) => local.set("events", JSON.stringify(events.slice(-200)));

  function flush() {
    clearTimeout(timer);
    timer = undefined;
    sending ??= send().finally(() => { sending = undefined; });
    return sending;
  }

  async function send() {
    for (;;) {
      const batch = waiting().slice(0, most);
      if (!batch.length || !options.key || refused) return;
      if (Date.now() < notBefore) return later(notBefore - Date.now());
      let answer;
      try {
        answer = await post("/api/v1/interactions", { events: batch.map((e) => e.event) }, true);
      } catch { /* the service is away */ }
      if (!answer || answer.status >= 500 || [401, 403, 408, 429].includes(answer.status)) {
        const asked = Number(answer?.headers.get("Retry-After")) || 0;
        notBefore = Date.now() + Math.max(asked, Math.min(300, 5 * 2 ** failures++)) * 1000;
        continue;
      }
      failures = 0;
      const alone = batch.length === 1;
      if (!answer.ok && alone) console.warn("recsaas: the service refuses", batch[0].event);
      most = answer.ok || alone ? EVENTS_AT_ONCE : 1; // one that is wrong must not take others with it
      if (most === 1) continue;
      const done = new Set(batch.map((e) => e.event.event_id));
      keep(waiting().filter((e) => !done.has(e.event.event_id)));
    }
  }

  const later = (wait) => { timer ??= setTimeout(flush, wait); };

  // Clicks are remembered for the visit, so that a later purchase names its recommendation.
  function track(type, item, more = {}, wait = 0) {
    if (!tracking()) return Promise.resolve();
    const event = {
      event_id: uid(), user_id: user(), session_id: session(), item_id: item, interaction_type: type,
      recommendation_id: read(visit, "clicked", []).find(([id]) => id === item)?.[1], ...more,
    };
    keep([...waiting(), { at: Date.now(), event }]);
    if (!wait) return flush();
    return Promise.resolve(later(wait));
  }

  function clicked(item, recommendation) {
    const before = read(visit, "clicked", []).slice(0, 99);
    visit.set("clicked", JSON.stringify([[item, recommendation], ...before]));
    track("click", item);
  }

  async function ask(box) {
    const { recsaas, item, items, count, scenario, category, strategy } = box.dataset;
    const who = { user_id: user(), session_id: session(), scenario };
    const asked = recsaas === "similar" ? { item_id: item } : items && { ...who, item_ids: JSON.parse(items) };
    const body = asked || { ...who, strategy, context: { current_item: item } };
    body.count = +count || 6;
    if (category) body.filters = { category };
    const answer = await post(`/api/v1/recommendations${asked ? `/${recsaas}` : ""}`, body);
    if (answer.ok) return answer.json();
    if (answer.status === 429 || answer.status >= 500) throw new Error("away");
    return null;
  }

  const node = (tag, name, ...children) => {
    const at = document.createElement(tag);
    at.className = `recsaas-${name}`;
    at.append(...children);
    return at;
  };

  function price(value, box) {
    if (value == null) return "";
    const { currency } = box.dataset;
    const style = currency ? { style: "currency", currency } : { minimumFractionDigits: 2 };
    return value.toLocaleString(document.documentElement.lang || undefined, style);
  }

  // Data becomes text nodes only, never markup.
  function card(item, box) {
    const texts = { ...item, title: item.title || item.item_id, price: price(item.price, box) };
    const href = (box.dataset.link || "/products/{id}").replaceAll("{id}", encodeURIComponent(item.item_id));
    const template = document.querySelector(box.dataset.template || "recsaas-none");
    const content = template?.content.cloneNode(true) ?? node("a", "link",
      node("span", "image", node("img")), ...["title", "price", "reason"].map((name) => node("span", name)));
    const entry = node("li", "item", content);
    for (const name of ["title", "category", "price", "reason"]) {
      entry.querySelectorAll(`[data-field=${name}], .recsaas-${name}`).forEach((at) => {
        at.textContent = texts[name] ?? "";
        at.hidden = !texts[name];
      });
    }
    entry.querySelectorAll("a").forEach((a) => { a.href = href; });
    entry.querySelectorAll("img").forEach((img) => {
      if (!/^(https?:\/)?\//i.test(item.image_url ?? "")) return img.remove();
      Object.assign(img, { src: item.image_url, alt: "", loading: "lazy" });
    });
    Object.assign(entry.dataset, { item: item.item_id, category: item.category ?? "" });
    return entry;
  }

  const due = new WeakMap();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(due.get(target));
      if (isIntersecting) due.set(target, setTimeout(shown, SEEN_MS, target));
    }
  }, { threshold: 0.5 });

  function shown(entry) {
    observer.unobserve(entry);
    if (entry.isConnected) track("recommendations_shown", entry.dataset.item, entry.recsaas, 2000);
  }

  function render(box, answer) {
    const id = answer.recommendation_id;
    const items = answer.recommendations || answer.similar_items;
    const list = node("ul", "list");
    list.setAttribute("role", "list"); // Safari forgets it without bullets
    items.forEach((item, i) => {
      const entry = card(item, box);
      const context = { position: i + 1, scenario: box.dataset.scenario };
      entry.recsaas = { recommendation_id: id, context };
      entry.addEventListener("click", (click) => { if (click.target.closest("a, button")) clicked(item.item_id, id); });
      list.append(entry);
      if (tracking()) observer.observe(entry);
    });
    const title = box.dataset.title || "Recommended";
    const part = node("section", "box", node("h2", "heading", title), list);
    part.setAttribute("aria-label", title);
    box.replaceChildren(part);
    box.hidden = !items.length;
    box.dispatchEvent(new CustomEvent("recsaas:rendered", { bubbles: true, detail: answer }));
  }

  // Without an answer a box keeps what it shows, and the service gets half a minute of peace.
  async function show(box) {
    if (!options.key || refused || Number(visit.get("away")) > Date.now()) return;
    const turn = box.recsaasTurn = (box.recsaasTurn || 0) + 1;
    try {
      const answer = await ask(box);
      if (answer && turn === box.recsaasTurn) render(box, answer);
    } catch {
      visit.set("away", String(Date.now() + 30000));
    }
  }

  const refresh = (root = document) => Promise.all([...root.querySelectorAll("[data-recsaas]")].map(show));

  function start(more = {}) {
    Object.assign(options, more);
    refused = false;
    later(0);
    return refresh();
  }

  const identify = (id) => start({ user: id || "" });

  function forget() {
    for (const name of ["visitor", "session", "events", "clicked"]) [local, visit].forEach((area) => area.set(name, ""));
  }

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`:where(.recsaas-list){display:grid;grid-auto-flow:column;grid-auto-columns:minmax(9.5rem,1fr);gap:1rem;
    margin:0;padding:0;list-style:none;overflow-x:auto}:where(.recsaas-link){display:grid;gap:.25rem;color:inherit}
    :where(.recsaas-image img){width:100%}`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

  window.recsaas = { start, track, flush, refresh, identify, forget };
  document.addEventListener("visibilitychange", () => document.hidden && flush());
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => start());
  else start();
})();
