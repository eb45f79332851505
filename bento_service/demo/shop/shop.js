/* The demo shop. Recommendations and tracking are recsaas.js's; here is what any shop has: its catalogue and its pages. */
"use strict";
const $ = (id) => document.getElementById(id);
const PAGE = 24, TOAST_MS = 2600, TYPING_MS = 250, DESCRIPTION = 400;
const NEW_VISITOR = "", ANOTHER = "another";
const state = { config: null, answer: null, item: null, cart: 0, turn: 0 };

/** Make an element; texts become text nodes, so what a catalogue contains cannot become markup. */
function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child != null));
  return node;
}

const money = (value) => (value == null ? "" : value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
const time = (text) => (text ? new Date(text).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }) : "–");

async function get(path, headers = {}) {
  const answer = await fetch(path, { headers });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error?.message || `The service answers ${answer.status}.`);
  return body;
}

const ask = (path) => get(path, { Authorization: `Bearer ${state.config.api_key}` });

function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("on");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => $("toast").classList.remove("on"), TOAST_MS);
}

// ---- the catalogue ---------------------------------------------------------------------------------------------

function card(item) {
  const node = $("card").content.cloneNode(true).firstElementChild;
  node.href = `#/item/${encodeURIComponent(item.item_id)}`;
  node.classList.toggle("gone", !item.available);
  const price = item.available ? money(item.price) : "Sold out";
  for (const [field, text] of Object.entries({ category: item.category, title: item.title || item.item_id, price, reason: "" })) {
    const at = node.querySelector(`[data-field=${field}]`);
    at.textContent = text ?? "";
    at.hidden = !text;
  }
  picture(node.querySelector(".art"), item);
  return el("li", {}, node);
}

function picture(place, item) {
  place.replaceChildren();
  if (/^https?:\/\//i.test(item.image_url ?? "")) {
    const img = el("img", { src: item.image_url, alt: "", loading: "lazy" });
    img.addEventListener("error", () => { img.remove(); drawArt(place, item); });
    place.append(img);
  }
  drawArt(place, item);
}

async function list({ category, text, after }) {
  const turn = ++state.turn;
  const query = new URLSearchParams({ limit: PAGE });
  for (const [name, value] of Object.entries({ category, q: text, after })) if (value) query.set(name, value);
  let page;
  try {
    page = await get(`/shop/items?${query}`);
  } catch (error) {
    if (turn === state.turn) $("catalogue-note").textContent = error.message;
    return;
  }
  if (turn !== state.turn) return;
  const cards = page.items.map(card);
  if (!after) $("catalogue").replaceChildren();
  $("catalogue").append(...cards);
  $("catalogue-note").textContent = after || cards.length ? "" : "Nothing here has these words. Try fewer of them.";
  $("more").hidden = !page.next_cursor;
  $("more").onclick = async () => {
    const first = $("catalogue").children.length;
    await list({ category, text, after: page.next_cursor });
    $("catalogue").children[first]?.querySelector("a").focus();
  };
}

// ---- the two pages ---------------------------------------------------------------------------------------------

const route = () => {
  const [, kind, ...rest] = location.hash.split("/");
  const name = decodeURIComponent(rest.join("/"));
  return { item: kind === "item" ? name : "", category: kind === "c" ? name : "" };
};

function chips(current) {
  const chip = (label, href, on) => {
    const node = el("a", { href }, label);
    if (on) node.setAttribute("aria-current", "page");
    return node;
  };
  $("categories").replaceChildren(
    chip("Everything", "#/", !current),
    ...state.config.categories.map((name) => chip(name, `#/c/${encodeURIComponent(name)}`, name === current)),
  );
}

async function show(first) {
  const { item, category } = route();
  $("home").hidden = Boolean(item);
  if (!item) state.item = null;
  $("product").hidden = !state.item; // shown when there is something to show
  shelves(item);
  if (item) {
    await showItem(item);
    return;
  }
  document.title = category ? `${category} · ${state.config.name}` : state.config.name;
  $("catalogue-title").textContent = category || "Everything";
  chips(category);
  $("q").value = "";
  list({ category });
  if (!first) $(category ? "catalogue-title" : "main").focus({ preventScroll: !category });
  if (!category && !first) scrollTo(0, 0);
  await forYou();
}

/** Ask only for the lists that can be seen. */
function shelves(item) {
  $("for-you").removeAttribute("data-recsaas");
  for (const id of ["similar", "also"]) {
    $(id).removeAttribute("data-recsaas");
    $(id).replaceChildren();
    $(id).dataset.item = item;
  }
  if (item) {
    $("similar").dataset.recsaas = "similar";
    $("also").dataset.recsaas = "recommendations";
  } else {
    $("for-you").dataset.recsaas = "recommendations";
  }
}

async function forYou() {
  state.answer = null;
  await recsaas.flush(); // what was just looked at counts already
  await recsaas.refresh($("for-you-panel"));
  explain();
}

function explain() {
  $("why").hidden = !state.answer;
  $("for-you-note").textContent = note(state.answer);
}

function note(answer) {
  if (!answer) return "There are no recommendations right now. The shop works all the same.";
  const sources = new Set(answer.recommendations.map((item) => item.source));
  const ms = Math.max(1, Math.round(answer.metadata.latency_ms));
  const from = sources.has("model") ? "From everything this customer did before, the last click included"
    : sources.has("fold_in") ? "From what you looked at in this visit"
    : "What is popular right now: open a few things, and this list becomes yours";
  return `${from}. Made in ${ms} ms.`;
}

async function showItem(id) {
  let item;
  try {
    item = await get(`/shop/items/${encodeURIComponent(id)}`);
  } catch (error) {
    item = { item_id: id, title: id, tags: [], available: false, description: error.message };
  }
  if (route().item !== id) return;
  state.item = item;
  document.title = `${item.title || id} · ${state.config.name}`;
  $("product-kind").textContent = [item.brand, item.category].filter(Boolean).join(" · ");
  $("product-title").textContent = item.title || id;
  $("product-price").textContent = item.available ? money(item.price) : "Sold out";
  $("product-text").textContent = (item.description || "").slice(0, DESCRIPTION);
  $("product-tags").replaceChildren(...item.tags.map((tag) => el("li", {}, tag)));
  $("like").setAttribute("aria-pressed", "false");
  $("add").disabled = $("buy").disabled = !item.available;
  picture($("product-picture"), item);
  $("product").hidden = false;
  scrollTo(0, 0);
  $("product-title").focus({ preventScroll: true });
  await recsaas.track("view", id);
  if (route().item === id) await recsaas.refresh($("product"));
}

// ---- who is shopping, and what they do -------------------------------------------------------------------------

function shoppers() {
  const option = (value, label) => el("option", { value }, label);
  $("who").replaceChildren(
    option(NEW_VISITOR, "You, a visitor"),
    option(ANOTHER, "Another new visitor"),
    ...state.config.shoppers.map((id) => option(id, `Customer ${id}`)),
  );
  const known = sessionStorage.getItem("shop.who") || NEW_VISITOR;
  $("who").value = state.config.shoppers.includes(known) ? known : NEW_VISITOR;
}

async function changeShopper() {
  if ($("who").value === ANOTHER) {
    recsaas.forget();
    $("who").value = NEW_VISITOR;
    toast("You are somebody new now.");
  }
  sessionStorage.setItem("shop.who", $("who").value);
  shelves(route().item); // empties what was for somebody else
  $("for-you").replaceChildren();
  state.answer = null;
  await recsaas.identify($("who").value);
  if (!route().item) explain();
}

const did = {
  add: () => {
    recsaas.track("add_to_cart", state.item.item_id);
    $("cart").textContent = String(++state.cart);
    toast("In your cart.");
  },
  buy: () => {
    recsaas.track("purchase", state.item.item_id, { price: state.item.price ?? undefined, quantity: 1 });
    toast("Bought. (Not really.)");
  },
  like: () => {
    if ($("like").getAttribute("aria-pressed") === "true") return;
    recsaas.track("like", state.item.item_id);
    $("like").setAttribute("aria-pressed", "true");
    toast("Noted.");
  },
};

// ---- why -------------------------------------------------------------------------------------------------------

function openDialog(title, ...content) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...content);
  if (!$("dialog").open) $("dialog").showModal();
}

const facts = (pairs) => el("dl", {}, ...Object.entries(pairs).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value ?? "–"))]));

function why() {
  const { recommendations, metadata, recommendation_id: id } = state.answer;
  const lines = recommendations.map((item) => el("li", {}, item.title || item.item_id, " ", el("span", { className: "quiet" }, `(${item.source}) ${item.reason ?? ""}`)));
  const receipt = el("button", { type: "button", id: "receipt" }, "Show the receipt");
  receipt.addEventListener("click", async () => {
    receipt.disabled = true;
    try {
      receipt.replaceWith(ofReceipt(await ask(`/api/v1/recommendations/${encodeURIComponent(id)}/receipt`)));
    } catch (error) {
      receipt.replaceWith(el("p", {}, error.message));
    }
  });
  openDialog("Why these?", el("ol", {}, ...lines), facts({
    "Model": metadata.model_version,
    "Trained": time(metadata.freshness.trained_at),
    "Knows events until": time(metadata.freshness.events_until),
    "Fallback": metadata.fallback_reason ?? "none",
    "Answered in": `${metadata.latency_ms.toFixed(1)} ms${metadata.cache_hit ? ", from the cache" : ""}`,
  }), receipt);
}

function ofReceipt({ lineage, ...receipt }) {
  return facts({
    "Receipt": receipt.recommendation_id,
    "Answered": time(receipt.at),
    "Release": receipt.release_version,
    "Model run": lineage?.model_run || "not kept any more",
    "Training set": lineage?.training_set_fingerprint,
    "Newest event": receipt.events_seen || "none since the release",
    "Rules in force": receipt.rules.join(", ") || "none",
  });
}

async function whyNot() {
  // recsaas.js keeps its ids under these names.
  const query = new URLSearchParams({ item_id: state.item.item_id, exclude_seen: "false" });
  const ids = { user_id: $("who").value || localStorage.getItem("recsaas.visitor"), session_id: sessionStorage.getItem("recsaas.session") };
  for (const [name, id] of Object.entries(ids)) if (id) query.set(name, id);
  try {
    const place = await ask(`/api/v1/recommendations/why-not?${query}`);
    openDialog("In your list", el("p", {}, place.rank ? `Number ${place.rank} of everything in this shop, if what you have seen is not left out.` : place.message), facts({
      "Status": place.status, "Score": place.score?.toFixed(3), "From": place.source, "Release": place.release_version,
    }));
  } catch (error) {
    toast(error.message);
  }
}

// ---- start -----------------------------------------------------------------------------------------------------

document.addEventListener("recsaas:rendered", ({ target, detail }) => {
  const items = detail.recommendations || detail.similar_items;
  [...target.querySelectorAll(".recsaas-item")].forEach((entry, i) => drawArt(entry.querySelector(".art"), items[i]));
  if (target === $("for-you")) state.answer = detail;
});
addEventListener("hashchange", () => { if (location.hash.startsWith("#/") || !location.hash) show(); });
$("who").addEventListener("change", changeShopper);
for (const name of Object.keys(did)) $(name).addEventListener("click", did[name]);
$("why").addEventListener("click", why);
$("why-not").addEventListener("click", whyNot);
$("close").addEventListener("click", () => $("dialog").close());
document.querySelector(".search").addEventListener("submit", (event) => event.preventDefault());
$("q").addEventListener("input", () => {
  clearTimeout($("q").timer);
  $("q").timer = setTimeout(() => {
    if (route().item) {
      history.pushState(null, "", "#/");
      shelves("");
      state.item = null;
      $("home").hidden = false;
      $("product").hidden = true;
      forYou();
    }
    const text = $("q").value.trim();
    $("catalogue-title").textContent = text ? `“${text}”` : "Everything";
    list({ text });
    chips("");
    $("catalogue-title").scrollIntoView({ block: "nearest" });
  }, TYPING_MS);
});

(async () => {
  try {
    state.config = await get("/shop/config.json");
  } catch (error) {
    $("for-you-note").textContent = error.message;
    return;
  }
  $("shop-name").textContent = document.title = state.config.name;
  shoppers();
  recsaas.start({ key: state.config.api_key, user: $("who").value });
  await show(true);
})();
