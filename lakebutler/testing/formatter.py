# SPDX-License-Identifier: BSD-3-Clause
"""What every formatter has to do, as tests to inherit from.

A formatter of yours is tested by::

    class TestMyFormatter(FormatterTests):
        formatter = MyFormatter()

        @pytest.fixture(params=[...])
        def obj(self, request):
            return request.param

        def assert_same(self, read, written):
            assert read == written
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import ButlerError, FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FormatterTests"]


class FormatterTests:
    """The contract of `~lakebutler.formatters.formatter.Formatter`.

    Attributes
    ----------
    formatter : `Formatter`
        What is tested.
    part_parameters : sequence of `dict`
        Parameters of reads that give a part.
    wrong_objects : sequence
        Objects that it must refuse to write.
    any_bytes : `bool`
        Every file is of this format, so that none can be damaged.
    """

    formatter: Formatter
    part_parameters: Sequence[Mapping[str, Any]] = ()
    wrong_objects: Sequence[Any] = ()
    any_bytes: bool = False

    @pytest.fixture
    def obj(self) -> Any:
        """An object that the formatter can hold; to be overridden."""
        raise NotImplementedError

    def assert_same(self, read: Any, written: Any) -> None:
        """Check that what was read is what was written; to be overridden where ``==`` is not enough."""
        assert read == written

    @pytest.fixture
    def data(self, obj: Any) -> bytes:
        """The file of the object."""
        return self.write(obj)

    def write(self, obj: Any) -> bytes:
        """Write an object into memory."""
        stream = io.BytesIO()
        self.formatter.write(obj, stream)
        return stream.getvalue()

    def test_what_is_written_is_read(self, obj: Any, data: bytes) -> None:
        """From memory."""
        self.assert_same(self.formatter.read(Source("memory", data=data)), obj)

    def test_a_local_file_is_read_like_memory(self, obj: Any, data: bytes, tmp_path: Path) -> None:
        """From the disk; the file is gone afterwards, the object is not."""
        path = tmp_path / f"file{self.formatter.extension}"
        path.write_bytes(data)
        read = self.formatter.read(Source("disk", path=str(path)))
        if not isinstance(read, Path):
            path.unlink()
        self.assert_same(read, obj)

    def test_writing_only_appends(self, obj: Any, data: bytes) -> None:
        """A stream that can do nothing but ``write`` is enough."""

        class Pipe(io.RawIOBase):
            def __init__(self) -> None:
                self.parts: list[bytes] = []

            def writable(self) -> bool:
                return True

            def write(self, part: Any) -> int:
                self.parts.append(bytes(part))
                return len(self.parts[-1])

        pipe = Pipe()
        self.formatter.write(obj, pipe)  # type: ignore[arg-type]
        assert len(b"".join(pipe.parts)) == len(data)

    def test_every_component_is_read(self, data: bytes, tmp_path: Path) -> None:
        """From memory and from the disk."""
        path = tmp_path / f"file{self.formatter.extension}"
        path.write_bytes(data)
        for component in self.formatter.components:
            self.formatter.read(Source("memory", data=data), component)
            self.formatter.read(Source("disk", path=str(path)), component)

    def test_parts_are_read_the_same_from_memory_and_disk(self, data: bytes, tmp_path: Path) -> None:
        """With each of `part_parameters`."""
        path = tmp_path / f"file{self.formatter.extension}"
        path.write_bytes(data)
        for parameters in self.part_parameters:
            one = self.formatter.read(Source("memory", data=data), None, parameters)
            two = self.formatter.read(Source("disk", path=str(path)), None, parameters)
            self.assert_same(one, two)

    def test_an_unknown_component_is_refused(self, data: bytes) -> None:
        """With our error."""
        with pytest.raises(FileFormatError, match="nosuch"):
            self.formatter.read(Source("memory", data=data), "nosuch")

    def test_an_unknown_parameter_is_refused(self, data: bytes) -> None:
        """With our error."""
        with pytest.raises(FileFormatError, match="nosuch"):
            self.formatter.read(Source("memory", data=data), None, {"nosuch": 1})

    def test_an_unknown_option_is_refused(self) -> None:
        """With our error."""
        with pytest.raises(FileFormatError, match="nosuch"):
            type(self.formatter)(nosuch=1)

    def test_objects_of_other_types_are_refused(self) -> None:
        """With one of our errors, before a file exists."""
        for wrong in self.wrong_objects:
            with pytest.raises(ButlerError):
                self.write(wrong)

    def test_a_damaged_file_is_an_error_or_another_object(self, obj: Any, data: bytes) -> None:
        """Cut in two, it never gives the same object, nor anything but an `Exception`."""
        if self.any_bytes or self.formatter.needs_trust:
            return
        for cut in {len(data) // 4, len(data) // 2} - {len(data)}:
            try:
                self.assert_same(self.formatter.read(Source("cut", data=data[:cut])), obj)
            except Exception:  # noqa: BLE001 - any will do, the datastore names the file
                continue
            pytest.fail(f"half of the file ({cut} of {len(data)} bytes) is read as if it were whole")

    def test_its_names_are_fit_for_a_repository(self) -> None:
        """Key, extensions, components, parameters."""
        cls = type(self.formatter)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", cls.key)
        for extension in (cls.extension, *cls.extensions):
            assert re.fullmatch(r"(\.[a-z0-9]+)+", extension)
            assert self.formatter.can_read(f"x{extension}")
            assert self.formatter.can_read(f"X{extension.upper()}")
        for name in (*cls.components, *cls.parameters, *cls.options):
            assert name.isidentifier()

    def test_provenance_goes_into_a_copy(self, obj: Any) -> None:
        """Where the format can hold it; the object itself stays as it is."""
        style = self.formatter.provenance_style
        if style is None:
            assert self.formatter.with_provenance(obj, {"a": 1}) is obj
            return
        prefix, separator = style
        before = self.write(obj)
        other = self.formatter.with_provenance(obj, {f"{prefix}{separator}ID": "0123"})
        assert b"0123" in self.write(other)
        assert self.write(obj) == before
