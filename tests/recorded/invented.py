"""Invents the questions: everything that a request may say, of users, visits and items of every sort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from tests.recorded.ask import Question
from tests.recorded.dice import Dice
from tests.recorded.release import BRANDS, CATEGORIES, TAGS, seen_of
from tests.recorded.site import KINDS, NEW_ITEMS, NEW_USERS, PLANS, SESSIONS, event, item

ROUNDS = 20
QUESTIONS = 2_000
_TENANTS = ("blue",) * 12 + ("amber", "amber", "green", "violet", "umber")
_RECOMMEND = "POST /api/v1/recommendations"
_SIMILAR = "POST /api/v1/recommendations/similar"


def invented(seed: int) -> list[Question]:
    """Return the questions in the order in which they are asked: among them are changes, which later ones see."""
    dice = Dice(seed)
    questions: list[Question] = []
    for number in range(ROUNDS):
        questions += _round(dice, number, len(questions))
    return questions


def _round(dice: Dice, number: int, start: int) -> list[Question]:
    """Return a hundred questions; `start` is the number of the first."""
    asked = [_recommend(dice) for _ in range(38)]
    asked += dice.some(asked, 3)  # asked again, they are answered from what is kept
    asked += [_nearly(dice, each) for each in dice.some(asked, 9)]
    asked += [_similar(dice) for _ in range(11)]
    asked += [_why_not(dice) for _ in range(11)]
    asked += [_batch(dice) for _ in range(2)]
    asked += [_short(dice) for _ in range(3)]
    asked += [_native(dice) for _ in range(3)]
    asked += [_refused(dice, number) for _ in range(5)]
    asked += [_offline(dice) for _ in range(2 if number == 0 else 3)]
    if number == 0:
        asked.append({"by": "blue", "do": "OFFLINE all", "body": {"k": 3, "scenario": "home"}})
    asked.append(_command(dice))
    asked = dice.some(asked, len(asked))
    changes = list(_changes(dice, number))
    for place, change in enumerate(changes):
        asked.insert((place + 1) * len(asked) // (len(changes) + 1), change)
    asked += _pages(dice, start + len(asked))
    answered = [start + place for place, each in enumerate(asked) if each["do"] in (_RECOMMEND, _SIMILAR)]
    by = {start + place: each["by"] for place, each in enumerate(asked)}
    for about in dice.some(answered, 100 - len(asked)):
        asked.append({"by": by[about], "do": f"GET /api/v1/recommendations/{{id:{about}}}/receipt"})
    return asked


def _user(dice: Dice, tenant: str) -> str | None:
    plan = PLANS[tenant]
    which = dice.below(20)
    if which < 8:
        return dice.pick(plan.user_ids[:12])
    if which < 11:
        return dice.pick(plan.user_ids)
    if which < 14:
        return dice.pick((*NEW_USERS, "nobody"))
    if which < 16:
        return dice.pick((*plan.unlearned, plan.sated))
    if which == 16:
        return dice.pick(("sated stranger", "sated visitor"))
    return None


def _item(dice: Dice, tenant: str) -> str:
    plan = PLANS[tenant]
    return dice.pick((dice.pick(plan.item_ids), dice.pick(plan.item_ids[:25]), dice.pick((*NEW_ITEMS, "nothing"))))


def _seen_item(dice: Dice, tenant: str, user: str) -> str | None:
    plan = PLANS[tenant]
    seen = seen_of(plan)[plan.user_ids.index(user)] if user in plan.user_ids else []
    return plan.item_ids[dice.pick(seen)] if seen else None


def _filters(dice: Dice, tenant: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if dice.chance(0.3):
        wanted["category"] = dice.pick((*CATEGORIES, "kitchen", " FOOD ", "A new category", "none such"))
    if dice.chance(0.25):
        wanted["categories"] = dice.some((*CATEGORIES, "none such"), 1 + dice.below(3))
    if dice.chance(0.2):
        wanted["brand"] = dice.pick((*BRANDS, "new brand", "none such"))
    if dice.chance(0.25):
        wanted["tags"] = dice.some((*TAGS, "none such"), 1 + dice.below(2))
    if dice.chance(0.25):
        wanted["min_price"] = dice.pick((0, 3.5, 20, 50))
    if dice.chance(0.3):
        wanted["max_price"] = dice.pick((50, 60.5, 80, 100))
    if dice.chance(0.2):
        wanted["exclude_ids"] = [_item(dice, tenant) for _ in range(1 + dice.below(4))]
    if dice.chance(0.2):
        wanted["include_unavailable"] = dice.chance(0.8)
    return wanted


def _body(dice: Dice, tenant: str) -> dict[str, Any]:
    body: dict[str, Any] = {"count": dice.pick((1, 2, 3, 4, 5, 5, 5, 8, 8, 10, 10, 20, 45 if dice.chance(0.3) else 6))}
    user = _user(dice, tenant)
    if user is not None:
        body["user_id"] = user
    if dice.chance(0.35 if user is None else 0.1):
        body["session_id"] = dice.pick(SESSIONS)
    if dice.chance(0.45):
        body["filters"] = _filters(dice, tenant)
    if dice.chance(0.15):
        body["context"] = {"current_item": _item(dice, tenant), "page": "product"}
    if dice.chance(0.2):
        body["scenario"] = dice.pick(("home", "home", "checkout", "similar", "none such"))
    if dice.chance(0.15):
        body["recent_events"] = [
            {"item_id": _item(dice, tenant), "interaction_type": dice.pick((*KINDS, None, "recommendations_shown"))}
            for _ in range(1 + dice.below(5))
        ]
    if dice.chance(0.2):
        body["diversity"] = dice.pick((0, 0.1, 0.3, 0.7, 0.9, 1))
    if dice.chance(0.15):
        body["max_per_category"] = 1 + dice.below(4)
    if dice.chance(0.15):
        body["exclude_seen"] = False
    if dice.chance(0.15):
        body["explain"] = False
    if dice.chance(0.05):
        body["tenant_id"] = tenant
    return body


def _recommend(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    by = "blue page" if tenant == "blue" and dice.chance(0.1) else tenant
    return {"by": by, "do": _RECOMMEND, "body": _body(dice, tenant)}


def _nearly(dice: Dice, question: Question) -> Question:
    """Return the question with one thing changed, so that what is kept of the one must not answer the other."""
    body = {**question["body"]}
    name = dice.pick(("explain", "exclude_seen", "diversity", "max_per_category", "scenario", "count", "filters"))
    if name in ("explain", "exclude_seen"):
        body[name] = not body.get(name, True)
    elif name == "diversity":
        body[name] = 0.6 if body.get(name) != 0.6 else 0.2
    elif name == "max_per_category":
        body[name] = body.get(name, 0) + 1
    elif name == "scenario":
        body[name] = "home" if body.get(name) != "home" else "checkout"
    elif name == "count":
        body[name] = body.get(name, 10) + 1
    else:
        wanted = body.get(name, {})
        body[name] = {**wanted, "include_unavailable": not wanted.get("include_unavailable", False)}
    return {**question, "body": body}


def _alike(dice: Dice, tenant: str) -> dict[str, Any]:
    body: dict[str, Any] = {"item_id": _item(dice, tenant), "count": dice.pick((1, 3, 5, 8, 12))}
    user = _user(dice, tenant) if dice.chance(0.5) else None
    if user is not None:
        body["user_id"] = user
    if dice.chance(0.4):
        body["filters"] = _filters(dice, tenant)
    return body


def _similar(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    return {"by": tenant, "do": _SIMILAR, "body": _alike(dice, tenant)}


def _why_not(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    body = _body(dice, tenant)
    names = ("user_id", "session_id", "scenario", "diversity", "max_per_category")
    about = _item(dice, tenant)
    if "user_id" in body and dice.chance(0.3):
        about = _seen_item(dice, tenant, body["user_id"]) or about
    query = {"item_id": about, **{name: body[name] for name in names if name in body}}
    for name, wanted in body.get("filters", {}).items():
        query[name] = str(wanted).lower() if isinstance(wanted, bool) else wanted
    if "exclude_seen" in body:
        query["exclude_seen"] = "false"
    return {"by": tenant, "do": f"GET /api/v1/recommendations/why-not?{urlencode(query, doseq=True)}"}


def _batch(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    requests = [_body(dice, tenant) for _ in range(2 + dice.below(4))]
    requests.insert(
        1, dice.pick(({"count": 0}, {"user_id": "u001", "tenant_id": "green"}, {"cursor": "no"}, {"user": 1}))
    )
    return {"by": tenant, "do": "POST /api/v1/recommendations/batch", "body": {"requests": requests}}


def _short(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    user = quote(_user(dice, tenant) or "stranger")
    return {"by": tenant, "do": f"GET /recommend/{user}?k={1 + dice.below(12)}"}


def _native(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    if dice.chance(0.3):
        return {"by": tenant, "do": "NATIVE similar", "body": _alike(dice, tenant)}
    by = "" if dice.chance(0.1) else tenant
    return {"by": by, "do": "NATIVE recommend", "body": _body(dice, tenant)}


def _offline(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    asked: dict[str, Any] = {"k": 1 + dice.below(8)}
    if dice.chance(0.3):
        asked["scenario"] = dice.pick(("home", "checkout"))
    if dice.chance(0.3):
        plan = PLANS[tenant]
        return {"by": tenant, "do": "OFFLINE similar", "body": {**asked, "item_id": dice.pick(plan.item_ids[20:])}}
    return {"by": tenant, "do": "OFFLINE recommend", "body": {**asked, "user": _user(dice, tenant) or "nobody"}}


def _command(dice: Dice) -> Question:
    tenant = dice.pick(_TENANTS)
    if dice.chance(0.3):
        return {"by": tenant, "do": "CLI similar", "body": [_item(dice, tenant), "-k", "4"]}
    return {"by": tenant, "do": "CLI recommend", "body": [_user(dice, tenant) or "nobody", "-k", "4"]}


def _changes(dice: Dice, number: int) -> Iterator[Question]:
    """Yield two changes of what later answers are made of: an event, and an item or a rule."""
    tenant = dice.pick(_TENANTS)
    yield {"by": tenant, "do": "POST /events", "body": event(dice, PLANS[tenant], f"asked-{number}")}
    if number % 4 == 3:
        target = {"category": dice.pick(CATEGORIES)}
        yield {
            "by": tenant,
            "do": "POST /api/v1/rules",
            "body": {"kind": dice.pick(("boost", "bury")), "target": target},
        }
    else:
        yield {"by": tenant, "do": "POST /api/v1/items", "body": item(dice, _item(dice, tenant))}


def _pages(dice: Dice, start: int) -> list[Question]:
    """Return a question and its next pages, the last with another request than the cursor is of."""
    tenant = dice.pick(_TENANTS)
    body = {**_body(dice, tenant), "count": 2 + dice.below(4)}
    questions: list[Question] = [{"by": tenant, "do": _RECOMMEND, "body": body}]
    for page in range(4):
        following = {**body, "cursor": f"{{cursor:{start + page}}}"}
        if page == 3 and dice.chance(0.3):
            following["scenario"] = "another"
        questions.append({"by": tenant, "do": _RECOMMEND, "body": following})
    return questions


def _refused(dice: Dice, number: int) -> Question:
    """Return a question that is answered with an error, or nearly."""
    by, do, body = dice.pick(_REFUSED)
    return {"by": by, "do": do, "body": body} if body is not None else {"by": by, "do": do}


_REFUSED: tuple[tuple[str, str, Any], ...] = (
    ("", _RECOMMEND, {"user_id": "u001"}),
    ("wrong", _RECOMMEND, {"user_id": "u001"}),
    ("grey", _RECOMMEND, {"user_id": "u001"}),
    ("empty", _RECOMMEND, {"user_id": "u001"}),
    ("empty", _SIMILAR, {"item_id": "b001"}),
    ("empty", "POST /api/v1/recommendations/batch", {"requests": [{"user_id": "u001"}, {}]}),
    ("empty", "GET /api/v1/recommendations/why-not?item_id=b001", None),
    ("blue writer", _RECOMMEND, {"user_id": "u001"}),
    ("blue page", "POST /api/v1/rules", {"kind": "hide", "target": {"item_ids": ["b001"]}}),
    ("blue", _RECOMMEND, "{"),
    ("blue", _RECOMMEND, "[]"),
    ("blue", _RECOMMEND, '{"user_id": "u001", "count": NaN}'),
    ("blue", _RECOMMEND, {"user_id": "u001", "tenant_id": "green"}),
    ("blue", _RECOMMEND, {"user_id": ""}),
    ("blue", _RECOMMEND, {"user_id": "x" * 300}),
    ("blue", _RECOMMEND, {"user_id": True, "count": "many", "diversity": 2, "max_per_category": 0}),
    ("blue", _RECOMMEND, {"user_id": "u001", "count": 101}),
    ("blue", _RECOMMEND, {"user": "u001"}),
    ("blue", _RECOMMEND, {"filters": {"min_price": 2, "max_price": 1}}),
    ("blue", _RECOMMEND, {"filters": {"min_price": -1, "colour": "red"}}),
    ("blue", _RECOMMEND, {"context": {"current_item": ["b001"]}}),
    ("blue", _RECOMMEND, {"recent_events": [{"item_id": "b001", "interaction_type": "stared at"}]}),
    ("blue", _RECOMMEND, {"recent_events": [{"interaction_type": "view"}]}),
    ("blue", _RECOMMEND, {"cursor": "nonsense"}),
    ("blue", _RECOMMEND, {"user_id": 3, "count": 2}),
    ("blue", _SIMILAR, {"item_id": "no such item"}),
    ("blue", _SIMILAR, {"count": 3}),
    ("blue", _SIMILAR, {"item_id": "b001", "count": 0}),
    ("blue", "POST /api/v1/recommendations/batch", {"requests": []}),
    ("blue", "GET /api/v1/recommendations/why-not", None),
    ("blue", "GET /api/v1/recommendations/why-not?item_id=b001&min_price=2&max_price=1", None),
    ("blue", "GET /api/v1/recommendations/why-not?item_id=b001&max_per_category=0", None),
    ("blue", "GET /api/v1/recommendations/none/receipt", None),
    ("blue", "GET /recommend/u001?k=0", None),
    ("blue", "GET /recommend/", None),
    ("blue", "POST /events", {"user_id": "u001", "item_id": "b001", "interaction_type": "stared at"}),
)
