# SPDX-License-Identifier: BSD-3-Clause
"""Small immutable ordered sets: of names, and of things that have a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Generic, Protocol, TypeVar, overload

from lakebutler.errors import DimensionNameError, known_names

__all__ = ["NameSet", "Named", "NamedValueSet"]


class Named(Protocol):
    """Something that has a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class NameSet(Sequence[str], AbstractSet[str]):
    """An ordered set of names, usable as a sequence too.

    Parameters
    ----------
    names : iterable of `str`
        The names, in order, each once.

    Notes
    -----
    Operators of sets give plain `frozenset` objects: their result has no order
    of its own.  Comparison is that of sets.
    """

    __slots__ = ("_names", "_set")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = tuple(names)
        self._set = frozenset(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._set

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._names[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NameSet):
            return self._set == other._set
        return self._set == other if isinstance(other, AbstractSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._set)

    @classmethod
    def _from_iterable(cls, names: Iterable[Any]) -> frozenset[Any]:
        return frozenset(names)

    def __reduce__(self) -> tuple[Any, ...]:
        return NameSet, (self._names,)

    def __repr__(self) -> str:
        return "{" + ", ".join(self._names) + "}"

    def issubset(self, other: Iterable[str]) -> bool:
        """Tell whether every name is in another set.

        Parameters
        ----------
        other : iterable of `str`
            The other names.

        Returns
        -------
        subset : `bool`
            `True` if so.
        """
        return self._set.issubset(other)

    def issuperset(self, other: Iterable[str]) -> bool:
        """Tell whether every name of another set is here.

        Parameters
        ----------
        other : iterable of `str`
            The other names.

        Returns
        -------
        superset : `bool`
            `True` if so.
        """
        return self._set.issuperset(other)


T_co = TypeVar("T_co", bound=Named, covariant=True)


class NamedValueSet(Generic[T_co]):
    """An ordered set of things that have names, found by name too.

    Parameters
    ----------
    values : iterable
        The things, in order, each name once.
    what : `str`, optional
        What they are called in an error message.
    """

    __slots__ = ("_by_name", "_what", "names")

    names: NameSet
    """Names of the things, in order."""

    def __init__(self, values: Iterable[T_co] = (), what: str = "dimension element") -> None:
        self._by_name = {value.name: value for value in values}
        self._what = what
        self.names = NameSet(self._by_name)

    def __getitem__(self, key: str | Named) -> T_co:
        name = key if isinstance(key, str) else key.name
        try:
            return self._by_name[name]
        except KeyError:
            raise DimensionNameError(
                f"there is no {self._what} {name!r} here", hint=known_names(name, self._by_name)
            ) from None

    def get(self, key: str | Named, default: Any = None) -> Any:
        """Find by name.

        Parameters
        ----------
        key : `str`
            The name.
        default : optional
            What to return if there is none.

        Returns
        -------
        value
            The thing, or ``default``.
        """
        return self._by_name.get(key if isinstance(key, str) else key.name, default)

    def __contains__(self, key: object) -> bool:
        return (key if isinstance(key, str) else getattr(key, "name", None)) in self._by_name

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NamedValueSet):
            return self.names == other.names
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return "{" + ", ".join(self._by_name) + "}"

    def asMapping(self) -> dict[str, T_co]:
        """Copy to a dictionary.

        Returns
        -------
        mapping : `dict`
            The things by name.
        """
        return dict(self._by_name)
