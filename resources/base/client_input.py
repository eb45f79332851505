"""What clients send as JSON: the base of every model that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from resources.base.suggestions import did_you_mean


class ClientInput(BaseModel):
    """A JSON object of a client.

    Null, and an empty text, for a field that may be left out say that it is left out: most clients write them where
    they have nothing to say. A field that does not exist is an error that names the nearest one, because a misspelt one
    must not vanish.

    Attributes:
        EMPTIED: names of fields for which null is an answer of its own, as in a change: it empties them, and so does an
            empty text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    EMPTIED: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="wrap")
    @classmethod
    def _as_sent(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(cls._said(value) if isinstance(value, dict) else value)
        except ValidationError as error:
            raise _with_suggestions(error, cls) from None

    @classmethod
    def _said(cls, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the object says, without what only says that it says nothing."""
        nothing = [name for name, value in sent.items() if value is None or value == ""]
        if not nothing:
            return sent
        said = dict(sent)
        for name in nothing:
            field = cls.model_fields.get(name)
            if name in cls.EMPTIED:
                said[name] = None
            elif field is not None and (said[name] is None or not field.is_required()):
                del said[name]
        return said


def told(message: str) -> str:
    """Put a message of pydantic's into words of JSON, which has no tuples and none of our classes."""
    if message.startswith(("Input should be a valid dictionary", "Input should be an instance")):
        return "Input should be an object"
    message = message.removeprefix("Value error, ").replace("Tuple should", "List should")
    return message.replace("Input should be a valid tuple", "Input should be a valid list")


def _with_suggestions(error: ValidationError, model: type[BaseModel]) -> ValidationError:
    """Return the same error, in which a field that the model does not have is told with the one that may be meant."""
    details: list[InitErrorDetails] = []
    for each in error.errors(include_url=False, include_context=False):
        kind, message, place = each["type"], each["msg"], each["loc"]
        if kind == "extra_forbidden" and len(place) == 1:  # a deeper one was told by the model that it is in
            message = f"is not a field here; {did_you_mean(str(place[0]), model.model_fields)}"
        same = PydanticCustomError(kind, "{message}", {"message": message})
        details.append(InitErrorDetails(type=same, loc=place, input=each["input"]))
    return ValidationError.from_exception_data(error.title, details)
