# SPDX-License-Identifier: BSD-3-Clause
"""The seam between files and objects.

A `Formatter` knows one file format.  It never knows where a file lies, which
dataset it is, or whether its content is the one that was recorded: that is the
datastore's work, and what a formatter gets is a `Source` whose bytes have been
verified.  `lakebutler.testing.formatter.FormatterTests` is the contract as a test.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from lakebutler.errors import FileFormatError, known_names

__all__ = ["Formatter", "Source"]


class Source:
    """The content of one file, in memory or on the local disk.

    Parameters
    ----------
    name : `str`
        What messages call it.
    data : `bytes`, optional
        The content, where it is in memory.
    path : `str`, optional
        A local file with exactly this content.  At least one of both is given.
    """

    __slots__ = ("_data", "name", "path")

    def __init__(self, name: str, *, data: bytes | None = None, path: str | None = None) -> None:
        if data is None and path is None:
            raise ValueError("a source needs data or a path")
        self.name = name
        self.path = path
        self._data = data

    @property
    def in_memory(self) -> bool:
        """Whether `read` costs nothing."""
        return self._data is not None

    @property
    def size(self) -> int:
        """Size in bytes."""
        if self._data is not None:
            return len(self._data)
        return os.stat(self.path or "").st_size

    def read(self) -> bytes:
        """Read everything.

        Returns
        -------
        data : `bytes`
            The content.
        """
        if self._data is not None:
            return self._data
        with open(self.path or "", "rb") as stream:
            return stream.read()

    def open(self) -> BinaryIO:
        """Open for reading at any position.

        Returns
        -------
        stream : file-like
            To be closed by the caller.
        """
        if self._data is not None:
            return io.BytesIO(self._data)
        return open(self.path or "", "rb")

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


class Formatter(ABC):
    """One file format.

    Parameters
    ----------
    **options : `object`
        Values of `options`, which belong to the file and are kept with its
        record (``fits_image?hdu=3``).

    Notes
    -----
    A formatter gives the type that is natural for its format; the storage class
    turns it into what the caller wants.
    """

    key: ClassVar[str]
    """Short name that repositories store."""

    extension: ClassVar[str]
    """How names of new files end, with the dot."""

    extensions: ClassVar[tuple[str, ...]] = ()
    """Other endings of files that it reads."""

    family: ClassVar[str] = ""
    """Formatters of one family read each other's files, each as its own type."""

    components: ClassVar[frozenset[str]] = frozenset()
    """Parts that `read` can give alone."""

    parameters: ClassVar[frozenset[str]] = frozenset()
    """Names that `read` understands in ``parameters``."""

    options: ClassVar[Mapping[str, Callable[[str], Any]]] = {}
    """What can be said about a file when it is ingested, and how its text is parsed."""

    needs_trust: ClassVar[bool] = False
    """Reading runs code from the file."""

    one_way: ClassVar[bool] = False
    """What is read is not of the type that was written."""

    provenance_style: ClassVar[tuple[str, str] | None] = None
    """Prefix and separator of keys of provenance; `None` if files cannot hold any."""

    def __init__(self, **options: Any) -> None:
        for name in options:
            if name not in self.options:
                raise FileFormatError(
                    f"formatter {self.key!r} has no option {name!r}",
                    hint=known_names(name, self.options, what="options"),
                )
        self.chosen = options

    @abstractmethod
    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read an object or a part of it.

        Parameters
        ----------
        source : `Source`
            The file's content.
        component : `str`, optional
            One of `components`; everything by default.
        parameters : mapping, optional
            What to read of it; the keys are among `parameters`.

        Returns
        -------
        obj : `object`
            The object.

        Raises
        ------
        FileFormatError
            Raised, as may be any other `Exception`, if the file is not of this
            format; the datastore names the file.
        """

    @abstractmethod
    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write an object.

        Parameters
        ----------
        obj : `object`
            An object of a type that this format can hold without loss.
        file : file-like
            Where to write; only ``write`` may be called, in sequence.

        Raises
        ------
        FileFormatError
            Raised if the format cannot hold this object as it is.
        """

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give an object that carries provenance into its file.

        Parameters
        ----------
        obj : `object`
            What is to be written; not changed.
        facts : mapping
            Keys in `provenance_style`, and plain values.

        Returns
        -------
        obj : `object`
            Shares its data with the original; the original itself by default.
        """
        return obj

    def can_read(self, name: str) -> bool:
        """Whether a file's name ends as files of this format do.

        Parameters
        ----------
        name : `str`
            Name or path.

        Returns
        -------
        readable : `bool`
            True if it does.
        """
        return name.lower().endswith((self.extension, *self.extensions))

    def check_request(self, component: str | None, parameters: Mapping[str, Any] | None) -> None:
        """Check that `read` can do what is asked.

        Parameters
        ----------
        component : `str` or `None`
            Name of the component.
        parameters : mapping or `None`
            Parameters of the read.

        Raises
        ------
        FileFormatError
            Raised if it cannot; the hint says what it can.
        """
        if component is not None and component not in self.components:
            raise FileFormatError(
                f"formatter {self.key!r} cannot read a component {component!r}",
                hint=known_names(component, self.components, what="components"),
            )
        for name in parameters or ():
            if name not in self.parameters:
                raise FileFormatError(
                    f"formatter {self.key!r} has no parameter {name!r}",
                    hint=known_names(name, self.parameters, what="parameters"),
                )

    def __repr__(self) -> str:
        chosen = "".join(f", {name}={value!r}" for name, value in self.chosen.items())
        return f"<formatter {self.key!r}{chosen}>"
