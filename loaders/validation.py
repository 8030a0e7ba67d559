"""What a model's field allows, in words, and what is wrong with a value, in one line."""

from __future__ import annotations

import types
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_BOUNDS = {"gt": "above {}", "ge": "of at least {}", "lt": "below {}", "le": "at most {}"}
_NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "text", dict: "a table"}
_COUNTS = {2: "two", 3: "three"}


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first fault of a validation as one line: field, rule and value.

    Args:
        model: what was validated; without it, pydantic's own words are used.
    """
    fault = error.errors()[0]
    place, value = _locate(model, fault["loc"]), fault["input"]
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    got = f", got {value!r}"
    match fault["type"]:
        case "extra_forbidden":
            known = alternatives(place.names[-1], place.model.model_fields) if place.model else ""
            return f"there is no {'.'.join(place.names)!r}" + (known and f"; {known}")
        case "value_error":  # raised in our own validators, whose texts mostly hold the value
            got = got if isinstance(value, str | float | list) and ", got " not in message else ""
        case "too_short" if not place.inside:
            least, there_are = fault["ctx"]["min_length"], fault["ctx"]["actual_length"]
            message, got = f"must have at least {least} values", f", got {there_are}"
        case "missing" if not place.inside:
            got = ""
        case "finite_number":
            message = "must be a finite number"
        case _ if place.field is not None:
            message = f"must be {allowed(place.field)}"
    return f"{'.'.join(place.names)}: {message}{got}" if place.names else message


def alternatives(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, and all names that exist."""
    names = list(known)
    listed = f"here {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}"
    near = get_close_matches(name, names, 1)
    if near and near == names:
        return f"did you mean {near[0]!r}?"
    return f"did you mean {near[0]!r}? T{listed}" if near else f"t{listed}"


def allowed(field: FieldInfo) -> str:
    """The values that a field allows, such as "an integer of at least 0 or autotune"."""
    return _words(field.annotation, field.metadata)


def bounds(field: FieldInfo) -> dict[str, float]:
    """The bounds of a number by "gt", "ge", "lt" and "le"; of an integer by "ge" and "le" alone."""
    return _bounds(field.annotation, field.metadata)


class _Place(NamedTuple):
    """Where in a model a fault lies.

    Attributes:
        names: the fields that lead to it, without pydantic's names for the members of a union.
        field: the last of them; None if it or the model is unknown.
        model: what the last of them should be a field of.
        inside: whether the fault is in one item of the field's value.
    """

    names: list[str]
    field: FieldInfo | None
    model: type[BaseModel] | None
    inside: bool


def _locate(model: type[BaseModel] | None, path: tuple[int | str, ...]) -> _Place:
    place = _Place([], None, model, False)
    if model is None:
        return place._replace(names=[str(part) for part in path])
    inner: type[BaseModel] | None = model
    for part in path:
        if inner is None:
            place = place._replace(inside=place.inside or isinstance(part, int))
            continue
        place.names.append(str(part))
        if isinstance(part, str):
            place = place._replace(field=inner.model_fields.get(part), model=inner)
            inner = _model_in(place.field.annotation) if place.field else None
    return place


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, itself or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; any other type alone."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    members = [kind for kind in _members(annotation) if kind is not types.NoneType]
    if len(members) > 1:
        return " or ".join(_words(kind) for kind in members)
    (kind,) = members
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _words(arguments[0], [*metadata, *arguments[1:]])
    if origin is Literal:
        *most, last = map(str, arguments)
        return f"{', '.join(most)} or {last}" if most else last
    if origin in (tuple, list):
        return _several(arguments)
    noun = "a table" if _model_in(kind) else _NOUNS.get(origin or kind, "a value")
    return f"{noun} {_range(_bounds(kind, metadata))}".strip()


def _several(kinds: tuple[Any, ...]) -> str:
    """A tuple or list, such as "two numbers" or "a list of tables"."""
    count = _COUNTS.get(len(kinds), "a list of") if Ellipsis not in kinds else "a list of"
    article, _, rest = _words(kinds[0]).partition(" ")
    if article not in ("a", "an"):
        return f"{count} {article} {rest}".strip()
    noun, _, limits = rest.partition(" ")
    return f"{count} {noun}s {limits}".strip()


def _bounds(kind: Any, metadata: Iterable[Any]) -> dict[str, float]:
    bounds: dict[str, float] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):  # of Annotated[int, Field(ge=0)]
            bounds |= _bounds(kind, item.metadata)
        for name in _BOUNDS:
            if (value := getattr(item, name, None)) is not None:
                bounds[name] = value
    if kind is int and "gt" in bounds:
        bounds["ge"] = bounds.pop("gt") + 1
    if kind is int and "lt" in bounds:
        bounds["le"] = bounds.pop("lt") - 1
    return bounds


def _range(bounds: dict[str, float]) -> str:
    if bounds.keys() == {"ge", "le"}:
        return f"from {bounds['ge']} to {bounds['le']}"
    return " and ".join(_BOUNDS[name].format(value) for name, value in bounds.items())
