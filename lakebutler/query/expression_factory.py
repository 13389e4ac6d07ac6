# SPDX-License-Identifier: BSD-3-Clause
"""Conditions written with Python's operators: ``x.visit > 5``.

A proxy knows how it is written in the where-language, with its values as bind variables; so an
expression made here means exactly what the same text means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import InvalidQueryError, known_names

__all__ = [
    "Asked",
    "DatasetTypeProxy",
    "DimensionElementProxy",
    "ExpressionFactory",
    "ExpressionProxy",
    "OrderTerm",
    "Predicate",
    "ScalarProxy",
    "SpanProxy",
    "order_text",
]

_DATASET_FIELDS = ("collection", "dataset_id", "ingest_date", "run", "timespan")

Part = tuple[str, Any]
"""A piece of text, or the empty text and a value."""


class Asked(Protocol):
    """A query, as far as an expression needs one."""

    @property
    def universe(self) -> DimensionUniverse:
        """The dimensions."""

    def general(self, dimensions: Iterable[str], *names: str) -> Iterable[Mapping[str, Any]]:
        """Rows of values by name.

        Parameters
        ----------
        dimensions : iterable of `str`
            Dimensions of the rows.
        *names : `str`
            Fields.
        """


class _Written:
    """Something that can be written in the where-language."""

    __slots__ = ("_parts",)

    _parts: tuple[Part, ...]

    def __init__(self, *parts: str | Part | _Written) -> None:
        made: list[Part] = []
        for part in parts:
            if isinstance(part, _Written):
                made += part._parts
            else:
                made.append((part, None) if isinstance(part, str) else part)
        self._parts = tuple(made)

    def render(self, values: dict[str, Any]) -> str:
        """Write it.

        Parameters
        ----------
        values : `dict`
            Bind variables; those of this expression are added, under names that are free.

        Returns
        -------
        text : `str`
            A where-expression, or a part of one.
        """
        words = []
        for text, value in self._parts:
            if text:
                words.append(text)
                continue
            number = len(values)
            while f"value_{number}" in values:
                number += 1
            values[f"value_{number}"] = value
            words.append(f":value_{number}")
        return "".join(words)

    def __repr__(self) -> str:
        values: dict[str, Any] = {}
        text = self.render(values)
        return f"{type(self).__name__}({text!r}{f', {values}' if values else ''})"


class Predicate(_Written):
    """A condition; `Query.where` takes it as it takes text."""

    __slots__ = ()

    def logical_and(self, *others: Predicate) -> Predicate:
        """Let others hold as well.

        Parameters
        ----------
        *others : `Predicate`
            Conditions.
        """
        return _joined("AND", (self, *others))

    def logical_or(self, *others: Predicate) -> Predicate:
        """Let this one or one of others hold.

        Parameters
        ----------
        *others : `Predicate`
            Conditions.
        """
        return _joined("OR", (self, *others))

    def logical_not(self) -> Predicate:
        """Let it not hold."""
        return Predicate("(NOT ", self, ")")

    def __bool__(self) -> bool:
        raise InvalidQueryError(
            "a condition is neither true nor false before it is asked",
            hint="join conditions with x.all(...) and x.any(...), negate one with x.not_(...)",
        )


class OrderTerm:
    """A term of ``order_by`` with its direction; made by `ScalarProxy.desc`.

    Parameters
    ----------
    name : `str`
        The column.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"OrderTerm('-{self.name}')"


class ExpressionProxy(_Written):
    """A value of each row."""

    __slots__ = ()

    @property
    def is_null(self) -> Predicate:
        """Whether it has no value."""
        return Predicate("(", self, " IS NULL)")

    def _name(self) -> str:
        """Identifier of a column."""
        text, _ = self._parts[0]
        if len(self._parts) != 1 or not text:
            raise InvalidQueryError(f"{self!r} is no column", hint="give a column such as x.visit")
        return text


class ScalarProxy(ExpressionProxy):
    """A number, a text, a time, an ID or a truth value of each row."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @property
    def desc(self) -> OrderTerm:
        """The column as a term of ``order_by``, the greatest first."""
        return OrderTerm(self._name())

    def as_boolean(self) -> Predicate:
        """Condition that a truth value is true."""
        return Predicate(self)

    def in_range(self, start: int = 0, stop: int | None = None, step: int = 1) -> Predicate:
        """Condition that it is a member of a `range`.

        Parameters
        ----------
        start, stop, step : `int`
            As for `range`: ``stop`` is no member; `None` is no end.
        """
        if step < 1:
            raise InvalidQueryError(f"a range needs a step of at least 1, not {step}")
        if stop is None:
            least = Predicate("(", self, " >= ", ("", start), ")")
            if step == 1:
                return least
            return least.logical_and(Predicate("((", self, " - ", ("", start), f") % {int(step)} = 0)"))
        if stop <= start:
            raise InvalidQueryError(f"the range from {start} to {stop} has no members")
        return Predicate("(", self, f" IN ({int(start)}..{int(stop) - 1}:{int(step)}))")

    def in_iterable(self, others: Iterable[Any]) -> Predicate:
        """Condition that it is one of some values.

        Parameters
        ----------
        others : iterable
            Values, or proxies.
        """
        given = list(others)
        if not any(isinstance(other, ExpressionProxy) for other in given):
            return Predicate("(", self, " IN (", ("", given), "))")
        return _joined("OR", [self == other for other in given])

    def in_query(self, column: ExpressionProxy, query: Asked) -> Predicate:
        """Condition that it is one of the values that a column has in another query.

        Parameters
        ----------
        column : `ExpressionProxy`
            A column, such as ``x.visit``.
        query : `Query`
            Asked at once.
        """
        name = column._name()
        dimension = name in query.universe.dimensions
        rows = query.general([name]) if dimension else query.general([], name)
        return self.in_iterable({row[name] for row in rows if row[name] is not None})

    def glob(self, pattern: str) -> Predicate:
        """Condition that a text matches a pattern.

        Parameters
        ----------
        pattern : `str`
            With ``*`` for any text and ``?`` for any character.
        """
        return Predicate("GLOB(", self, ", ", ("", pattern), ")")

    def _compare(self, operator: str, other: object) -> Predicate:
        if other is None:
            if operator in ("=", "!="):
                return self.is_null if operator == "=" else self.is_null.logical_not()
            raise InvalidQueryError(f"nothing is {operator} None", hint="use .is_null")
        return Predicate("(", self, f" {operator} ", _operand(other), ")")

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]
        return self._compare("=", other)

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]
        return self._compare("!=", other)

    def __lt__(self, other: object) -> Predicate:
        return self._compare("<", other)

    def __le__(self, other: object) -> Predicate:
        return self._compare("<=", other)

    def __gt__(self, other: object) -> Predicate:
        return self._compare(">", other)

    def __ge__(self, other: object) -> Predicate:
        return self._compare(">=", other)

    def __neg__(self) -> ScalarProxy:
        return ScalarProxy("(-", self, ")")

    def __add__(self, other: object) -> ScalarProxy:
        return _arithmetic(self, "+", other)

    def __radd__(self, other: object) -> ScalarProxy:
        return _arithmetic(other, "+", self)

    def __sub__(self, other: object) -> ScalarProxy:
        return _arithmetic(self, "-", other)

    def __rsub__(self, other: object) -> ScalarProxy:
        return _arithmetic(other, "-", self)

    def __mul__(self, other: object) -> ScalarProxy:
        return _arithmetic(self, "*", other)

    def __rmul__(self, other: object) -> ScalarProxy:
        return _arithmetic(other, "*", self)

    def __truediv__(self, other: object) -> ScalarProxy:
        return _arithmetic(self, "/", other)

    def __rtruediv__(self, other: object) -> ScalarProxy:
        return _arithmetic(other, "/", self)

    def __mod__(self, other: object) -> ScalarProxy:
        return _arithmetic(self, "%", other)

    def __rmod__(self, other: object) -> ScalarProxy:
        return _arithmetic(other, "%", self)


class SpanProxy(ExpressionProxy):
    """A timespan or a region of each row."""

    __slots__ = ()

    @property
    def begin(self) -> ScalarProxy:
        """When a timespan begins."""
        return ScalarProxy(f"{self._name()}.begin")

    @property
    def end(self) -> ScalarProxy:
        """When a timespan ends."""
        return ScalarProxy(f"{self._name()}.end")

    def overlaps(self, other: object) -> Predicate:
        """Condition that it shares something with another.

        Parameters
        ----------
        other : `SpanProxy`, `Timespan`, `astropy.time.Time`, region or `lsst.sphgeom.LonLat`
            Of the same kind.
        """
        return Predicate("(", self, " OVERLAPS ", _operand(other), ")")


class DimensionElementProxy(ScalarProxy):
    """A dimension, with its fields as attributes.

    Parameters
    ----------
    universe : `DimensionUniverse`
        Where it belongs.
    name : `str`
        Its name.
    """

    __slots__ = ("_element",)

    def __init__(self, universe: DimensionUniverse, name: str) -> None:
        super().__init__(name)
        self._element = universe[name]

    @property
    def region(self) -> SpanProxy:
        """Its region."""
        return self._span("region", has=self._element.spatial is not None)

    @property
    def timespan(self) -> SpanProxy:
        """Its timespan."""
        return self._span("timespan", has=self._element.temporal is not None)

    def _span(self, field: str, *, has: bool) -> SpanProxy:
        if not has:
            raise AttributeError(f"{self._element.name} has no {field}")
        return SpanProxy(f"{self._element.name}.{field}")

    def __getattr__(self, field: str) -> ScalarProxy:
        element = self._element
        names = (*element.required.names, *element.implied.names)
        unique = [spec.name for spec in getattr(element, "unique_keys", ())]
        known = sorted({*names, *unique, *[spec.name for spec in element.metadata_columns]})
        if field not in known:
            raise AttributeError(
                f"{element.name} has no field {field!r}: {known_names(field, known, what='fields')}"
            )
        return ScalarProxy(field if field in names else f"{element.name}.{field}")


class DatasetTypeProxy:
    """A dataset type, with what is known of each dataset as attributes.

    Parameters
    ----------
    name : `str`
        Name of the dataset type.
    """

    __slots__ = ("_type",)

    def __init__(self, name: str) -> None:
        self._type = name

    @property
    def timespan(self) -> SpanProxy:
        """When a calibration is valid."""
        return SpanProxy(f"{self._type}.timespan")

    def __getattr__(self, field: str) -> ScalarProxy:
        if field not in _DATASET_FIELDS:
            raise AttributeError(
                f"datasets have no field {field!r}: {known_names(field, _DATASET_FIELDS, what='fields')}"
            )
        return ScalarProxy(f"{self._type}.{field}")


class ExpressionFactory:
    """Makes proxies: ``x.visit``, ``x.detector.full_name``, ``x["flat"].run``.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The dimensions.
    """

    __slots__ = ("_universe",)

    def __init__(self, universe: DimensionUniverse) -> None:
        self._universe = universe

    def __getattr__(self, name: str) -> DimensionElementProxy:
        if name not in self._universe.elements.names:
            names = self._universe.elements.names
            raise AttributeError(
                f"there is no dimension {name!r}: {known_names(name, names, what='elements')}"
            )
        return DimensionElementProxy(self._universe, name)

    def __getitem__(self, name: str) -> DatasetTypeProxy:
        return DatasetTypeProxy(name)

    def not_(self, operand: Predicate) -> Predicate:
        """Negate a condition.

        Parameters
        ----------
        operand : `Predicate`
            The condition.
        """
        return operand.logical_not()

    def all(self, first: Predicate, /, *args: Predicate) -> Predicate:
        """Join conditions that must all hold.

        Parameters
        ----------
        first, *args : `Predicate`
            The conditions.
        """
        return first.logical_and(*args)

    def any(self, first: Predicate, /, *args: Predicate) -> Predicate:
        """Join conditions one of which must hold.

        Parameters
        ----------
        first, *args : `Predicate`
            The conditions.
        """
        return first.logical_or(*args)

    @staticmethod
    def literal(value: object) -> ExpressionProxy:
        """Make a value an expression, for ``literal(5) < x.visit``.

        Parameters
        ----------
        value
            As `Query.where` takes it in ``bind=``.
        """
        if isinstance(value, ExpressionProxy):
            return value
        kind = SpanProxy if hasattr(value, "overlaps") else ScalarProxy
        return kind(("", value))

    @staticmethod
    def unwrap(proxy: ExpressionProxy) -> tuple[str, Mapping[str, Any]]:
        """Say how an expression is written.

        Parameters
        ----------
        proxy : `ExpressionProxy`
            The expression.

        Returns
        -------
        text : `str`
            In the where-language.
        values : mapping
            Its bind variables.
        """
        values: dict[str, Any] = {}
        return proxy.render(values), values


def order_text(term: object) -> object:
    """Write a term of ``order_by``.

    Parameters
    ----------
    term : `str`, `ScalarProxy` or `OrderTerm`
        As it was given.

    Returns
    -------
    term : `str`
        A column, with ``-`` in front for descending; what is neither is returned as it is.
    """
    if isinstance(term, OrderTerm):
        return f"-{term.name}"
    return term._name() if isinstance(term, ExpressionProxy) else term


def _operand(value: object) -> _Written | Part:
    if isinstance(value, Predicate):
        raise InvalidQueryError("a condition cannot be compared with something", hint="use x.all or x.any")
    return value if isinstance(value, ExpressionProxy) else ("", value)


def _arithmetic(left: object, operator: str, right: object) -> ScalarProxy:
    return ScalarProxy("(", _operand(left), f" {operator} ", _operand(right), ")")


def _joined(word: str, parts: Sequence[Predicate]) -> Predicate:
    for part in parts:
        if not isinstance(part, Predicate):
            raise InvalidQueryError(
                f"{type(part).__name__} is no condition", hint="compare it, or use .as_boolean()"
            )
    if len(parts) == 1:
        return parts[0]
    pieces: list[str | _Written] = ["("]
    for i, part in enumerate(parts):
        pieces += [f" {word} ", part] if i else [part]
    return Predicate(*pieces, ")")
