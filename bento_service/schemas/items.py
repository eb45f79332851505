"""Bodies of the item routes (docs/api.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, RootModel, Tag, model_validator

from bento_service.schemas.common import Answer, Body, NewId, PlainText, Text
from bento_service.schemas.values import AnyPrice, Available, Deleted, Moment
from resources.catalogue.edits import ItemFields
from resources.catalogue.items import Item
from resources.uploads.contract.columns import MAX_TEXT_BYTES

MAX_ITEMS = 1000
MAX_TAGS = 1000
MAX_PAGE_CHARACTERS = 2 * 1024 * 1024
"""Of the texts of a page of items; a page with more ends early."""


def _tag(text: str) -> str:
    if "|" in text:
        raise ValueError("a tag in a list must not contain |, which separates tags in a text")
    return text


_Text = Annotated[PlainText, Field(max_length=MAX_TEXT_BYTES)]
_Tag = Annotated[PlainText, AfterValidator(_tag), Field(max_length=500)]
_TagList = Annotated[tuple[_Tag, ...], Field(max_length=MAX_TAGS)]
# Told apart by the shape, so that the errors are those of one of the two and not of both.
_Tags = Annotated[
    Annotated[_TagList, Tag("list")] | Annotated[_Text, Tag("text")],
    Discriminator(lambda sent: "list" if isinstance(sent, list | tuple) else "text"),
]


class ItemPatch(Body):
    """Fields of an item to change; null empties one, but for the title. What is left out stays."""

    EMPTIED = frozenset({"category", "brand", "description", "image_url", "tags", "price", "available", "created_at"})
    title: _Text | None = None
    name: _Text | None = Field(default=None, description="Another name of `title`.")
    category: _Text | None = None
    brand: _Text | None = None
    description: _Text | None = None
    image_url: _Text | None = None
    tags: _Tags | None = Field(default=None, description="A list, or a text with vertical bars between tags.")
    price: AnyPrice = None
    available: Available = Field(default=None, description="Whether it may be recommended; null is true.")
    created_at: Moment = Field(default=None, description="When the item joined the catalogue, ISO 8601.")
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def fields(self) -> ItemFields:
        """What was sent, by the names of the data contract."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set if name != "tenant_id"}
        if "name" in given:
            title = given.pop("name")
            given.setdefault("title", title)
        if isinstance(given.get("tags"), tuple):
            given["tags"] = "|".join(tag.strip() for tag in given["tags"] if tag.strip()) or None
        return given


class ItemBody(ItemPatch):
    """One item, described as a whole: what is left out is empty. With `deleted` it leaves the catalogue."""

    item_id: NewId
    deleted: Deleted = False


class ItemBatch(Body):
    """Up to 1,000 items, stored all or none."""

    items: Annotated[tuple[ItemBody, ...], Field(min_length=1, max_length=MAX_ITEMS)]
    tenant_id: Text | None = None


class ItemsRequest(RootModel[ItemBatch | tuple[ItemBody, ...] | ItemBody]):
    """One item, a list of items, or `{"items": [...]}`."""

    @model_validator(mode="wrap")
    @classmethod
    def _by_its_shape(cls, value: Any, handler: Any) -> Any:
        # Decided by the shape, so that the errors are those of one of the three and not of all.
        if isinstance(value, list):
            return cls.model_construct(ItemBatch.model_validate({"items": value}))
        if isinstance(value, dict):
            kind = ItemBatch if "items" in value else ItemBody
            return cls.model_construct(kind.model_validate(value))
        return handler(value)


class ItemsStored(Answer):
    """The items are stored, and hold in the next answer. `duplicate`: the request had come before."""

    status: Literal["stored"] = "stored"
    items: int
    deleted: int
    duplicate: bool
    processed_at: datetime


class ItemAnswer(Answer):
    """One item of the catalogue as it is now. `changed_by` is the upload that said so last, or `api`."""

    item_id: str
    title: str | None
    name: str | None
    category: str | None
    brand: str | None
    description: str | None
    image_url: str | None
    tags: tuple[str, ...]
    price: float | None
    available: bool
    created_at: datetime | None
    updated_at: datetime
    changed_by: str

    @classmethod
    def of(cls, item: Item) -> ItemAnswer:
        """Show an item."""
        return cls(
            item_id=item.item_id,
            title=item.title,
            name=item.title,
            category=item.category,
            brand=item.brand,
            description=item.description,
            image_url=item.image_url,
            tags=tuple(tag for tag in map(str.strip, (item.tags or "").split("|")) if tag),
            price=item.price,
            available=item.available,
            created_at=item.created_at,
            updated_at=item.updated_at,
            changed_by=item.changed_by,
        )


class ItemPage(Answer):
    """Some items, by id."""

    items: tuple[ItemAnswer, ...]
    next_cursor: str | None = None

    @classmethod
    def of(cls, found: Sequence[Item], *, limit: int, cursor_after: Callable[[str], str]) -> ItemPage:
        """Show the first `limit` items, or fewer when their texts fill the page; the cursor leads to the rest."""
        shown: list[ItemAnswer] = []
        size = 0
        for item in found[:limit]:
            shown.append(ItemAnswer.of(item))
            size += sum(len(text or "") for text in (item.title, item.description, item.tags, item.image_url))
            if size > MAX_PAGE_CHARACTERS:
                break
        more = len(found) > len(shown)
        return cls(items=tuple(shown), next_cursor=cursor_after(shown[-1].item_id) if more else None)


class ItemDeleted(Answer):
    """The item is in no answer any more."""

    item_id: str
    status: Literal["deleted"] = "deleted"
    processed_at: datetime
