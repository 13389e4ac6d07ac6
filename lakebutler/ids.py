# SPDX-License-Identifier: BSD-3-Clause
"""Dataset ids: time-ordered random ones, and ones computed from the data ID.

Random ids are UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix time in
milliseconds, 12 bits of the fraction below (method 3 of section 6.2), 62 random
bits.  Ids made by one process sort in the order they were made.

Computed ids are UUID version 5 of a text that spells the dataset type, the run
(if it counts) and the required values of the data ID by dimension name, in the
name space of the field: a raw has the same id in every repository.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from typing import Any, Final
from uuid import UUID, SafeUUID

__all__ = [
    "NAMESPACE",
    "DatasetId",
    "DatasetIdGenEnum",
    "dataset_uuid5",
    "make_dataset_id",
    "make_dataset_ids",
    "pack_dataset_ids",
    "run_timestamp",
    "uuid7",
    "uuid7s",
    "uuid_from_int",
]

DatasetId = UUID
"""What the ID of a dataset is."""

NAMESPACE: Final = UUID("840b31d9-05cd-5161-b2c8-00d32b280d0f")
"""Name space of computed dataset ids, common to the field."""

_V7: Final = (7 << 76) | (2 << 62)
_V5: Final = (5 << 76) | (2 << 62)
_CLEAR: Final = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)
_VERSION_BYTE: Final = bytes(byte & 0x0F | 0x50 for byte in range(256))
_VARIANT_BYTE: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))
_LOW62: Final = (1 << 62) - 1
_UNKNOWN: Final = SafeUUID.unknown
_new = object.__new__
_set = object.__setattr__


class DatasetIdGenEnum(enum.Enum):
    """How the id of a dataset is made."""

    UNIQUE = 0
    """Random; never made twice."""

    DATAID_TYPE = 1
    """Computed from the dataset type and the data ID; the same in every run."""

    DATAID_TYPE_RUN = 2
    """Computed from the dataset type, the run and the data ID."""

    def __repr__(self) -> str:
        return f"DatasetIdGenEnum.{self.name}"


def uuid_from_int(value: int) -> UUID:
    """Make a UUID from 128 bits known to be valid, without the checks of `uuid.UUID`.

    Parameters
    ----------
    value : `int`
        The bits.

    Returns
    -------
    id : `uuid.UUID`
        The id.
    """
    made = _new(UUID)
    _set(made, "int", value)
    _set(made, "is_safe", _UNKNOWN)
    return made


class _Random:
    """Random bits from the operating system, fetched in blocks.

    A forked child starts with an empty block, so that it never repeats what its
    parent hands out.
    """

    __slots__ = ("last", "words")

    def __init__(self) -> None:
        self.words: list[int] = []
        self.last = 0

    def refill(self) -> int:
        block = memoryview(os.urandom(2048)).cast("Q")
        words = list(block)
        word = words.pop()
        self.words = words
        return word

    def forget(self) -> None:
        self.words = []


_random = _Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.forget)


def uuid7() -> UUID:
    """Make a random id that sorts by the time it was made.

    Returns
    -------
    id : `uuid.UUID`
        A UUID of version 7.
    """
    now = time.time_ns()
    # 60 bits of time: milliseconds, then the fraction in 1/4096 ms.
    stamp = ((now // 1_000_000) << 12) | ((now % 1_000_000) * 4096 // 1_000_000)
    if stamp <= _random.last:
        stamp = _random.last + 1
    _random.last = stamp
    try:
        word = _random.words.pop()
    except IndexError:
        word = _random.refill()
    made = _new(UUID)
    _set(made, "int", ((stamp >> 12) << 80) | _V7 | ((stamp & 0xFFF) << 64) | (word & _LOW62))
    _set(made, "is_safe", _UNKNOWN)
    return made


def uuid7s(count: int) -> list[UUID]:
    """Make many random ids.

    Parameters
    ----------
    count : `int`
        How many.

    Returns
    -------
    ids : `list` [`uuid.UUID`]
        In ascending order.
    """
    return [uuid7() for _ in range(count)]


def dataset_uuid5(text: str) -> UUID:
    """Compute the id that belongs to a text.

    Parameters
    ----------
    text : `str`
        The text; hashed as UTF-8 behind `NAMESPACE` (RFC 9562, section 5.5).

    Returns
    -------
    id : `uuid.UUID`
        A UUID of version 5.
    """
    digest = sha1(_NAMESPACE_BYTES + text.encode(), usedforsecurity=False).digest()
    return uuid_from_int((int.from_bytes(digest[:16], "big") & _CLEAR) | _V5)


_NAMESPACE_BYTES: Final = NAMESPACE.bytes


@lru_cache(maxsize=4096)
def _recipe(
    mode: DatasetIdGenEnum, run: str, dataset_type_name: str, names: tuple[str, ...]
) -> tuple[Any, str, tuple[int, ...] | None]:
    """Hash state of the leading text, format of the rest, order of the values."""
    head = f"dataset_type={dataset_type_name}"
    if mode is DatasetIdGenEnum.DATAID_TYPE_RUN:
        head += f",run={run}"
    order = tuple(sorted(range(len(names)), key=names.__getitem__))
    tail = "".join("," + names[i].replace("%", "%%") + "=%s" for i in order)
    state = sha1(_NAMESPACE_BYTES + head.encode(), usedforsecurity=False)
    return state, tail, None if order == tuple(range(len(names))) else order


def make_dataset_id(mode: DatasetIdGenEnum, run: str, dataset_type_name: str, data_id: Any) -> UUID:
    """Make the id of a dataset.

    Parameters
    ----------
    mode : `DatasetIdGenEnum`
        How.
    run : `str`
        The dataset's RUN collection.
    dataset_type_name : `str`
        Name of its dataset type.
    data_id : `~lakebutler.dimensions.DataCoordinate`
        Its data ID; only the required values count.

    Returns
    -------
    id : `uuid.UUID`
        The id.
    """
    if mode is DatasetIdGenEnum.UNIQUE:
        return uuid7()
    state, tail, order = _recipe(mode, run, dataset_type_name, data_id.dimensions.required_names)
    values = data_id.required_values
    hasher = state.copy()
    hasher.update((tail % (values if order is None else tuple([values[i] for i in order]))).encode())
    return uuid_from_int((int.from_bytes(hasher.digest()[:16], "big") & _CLEAR) | _V5)


def make_dataset_ids(
    mode: DatasetIdGenEnum,
    run: str,
    dataset_type_name: str,
    names: Sequence[str],
    values: Iterable[tuple[Any, ...]],
) -> list[UUID]:
    """Make the ids of many datasets of one type in one run.

    Parameters
    ----------
    mode : `DatasetIdGenEnum`
        How.
    run : `str`
        The datasets' RUN collection.
    dataset_type_name : `str`
        Name of their dataset type.
    names : sequence of `str`
        The required dimensions.
    values : iterable of `tuple`
        For each dataset the values of ``names``.

    Returns
    -------
    ids : `list` [`uuid.UUID`]
        One for each tuple of values.
    """
    if mode is DatasetIdGenEnum.UNIQUE:
        return [uuid7() for _ in values]
    state, tail, order = _recipe(mode, run, dataset_type_name, tuple(names))
    copy, from_bytes, made = state.copy, int.from_bytes, []
    for row in values:
        hasher = copy()
        hasher.update((tail % (row if order is None else tuple([row[i] for i in order]))).encode())
        made.append(uuid_from_int((from_bytes(hasher.digest()[:16], "big") & _CLEAR) | _V5))
    return made


def pack_dataset_ids(
    run: str, dataset_type_name: str, names: Sequence[str], values: Iterable[tuple[Any, ...]]
) -> bytes:
    """Make the ids of very many datasets, as `DatasetIdGenEnum.DATAID_TYPE_RUN` has them, without objects.

    Parameters
    ----------
    run : `str`
        The datasets' RUN collection.
    dataset_type_name : `str`
        Name of their dataset type.
    names : sequence of `str`
        The required dimensions.
    values : iterable of `tuple`
        For each dataset the values of ``names``.

    Returns
    -------
    ids : `bytes`
        16 bytes for each tuple of values, one after the other.
    """
    state, tail, order = _recipe(DatasetIdGenEnum.DATAID_TYPE_RUN, run, dataset_type_name, tuple(names))
    copy, digests = state.copy, []
    for row in values:
        hasher = copy()
        hasher.update((tail % (row if order is None else tuple([row[i] for i in order]))).encode())
        digests.append(hasher.digest()[:16])
    packed = bytearray(b"".join(digests))
    packed[6::16] = packed[6::16].translate(_VERSION_BYTE)
    packed[8::16] = packed[8::16].translate(_VARIANT_BYTE)
    return bytes(packed)


def run_timestamp(when: datetime | None = None) -> str:
    """Make the part of a run's name that tells when it was started.

    Parameters
    ----------
    when : `datetime.datetime`, optional
        The time, with its time zone; now, if not given.

    Returns
    -------
    text : `str`
        UTC as ``YYYYMMDDTHHMMSSZ``.
    """
    moment = datetime.now(UTC) if when is None else when.astimezone(UTC)
    return moment.strftime("%Y%m%dT%H%M%SZ")
