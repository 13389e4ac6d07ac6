# SPDX-License-Identifier: BSD-3-Clause
"""What a repository says about its datasets in ObsCore: products, wavelengths, facilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from lakebutler.errors import FileFormatError, known_names

__all__ = ["OBSCORE_SETTING", "ObsCoreConfig", "Product", "default_obscore", "parse_obscore"]

OBSCORE_SETTING = "obscore"
"""Name of the setting in the repository."""

PRODUCT_TYPES = (
    "image", "cube", "spectrum", "sed", "timeseries", "visibility", "event", "measurements",
)  # fmt: skip
"""Values of ``dataproduct_type`` (ObsCore 1.1, section 3.3.1)."""

_MAPPINGS = ("spectral_ranges", "facilities", "dataset_types", "storage_classes")
_KEYS = ("publisher", "obs_collection", *_MAPPINGS)


@dataclass(frozen=True, slots=True)
class Product:
    """What a dataset is.

    Attributes
    ----------
    dataproduct_type : `str`
        One of the words of ObsCore.
    calib_level : `int`
        0 to 4.
    """

    dataproduct_type: str
    calib_level: int


@dataclass(frozen=True, slots=True)
class ObsCoreConfig:
    """A checked configuration; ``obscore.yaml`` explains its parts.

    Attributes
    ----------
    publisher : `str`
        IVOA identifier before the ``?`` of ``obs_publisher_did``.
    obs_collection : `str` or `None`
        Name of the collection of data; `None` for each dataset's run.
    spectral_ranges : `Mapping` [`tuple` [`str`, `str`], `tuple` [`float`, `float`]]
        Shortest and longest wavelength, in m, by instrument (or ``*``) and filter or band.
    facilities : `Mapping` [`str`, `str`]
        Names of facilities by instrument.
    dataset_types, storage_classes : `Mapping` [`str`, `Product` or `None`]
        What datasets are, by names or globs.
    """

    publisher: str
    obs_collection: str | None
    spectral_ranges: Mapping[tuple[str, str], tuple[float, float]]
    facilities: Mapping[str, str]
    dataset_types: Mapping[str, Product | None]
    storage_classes: Mapping[str, Product | None]

    def product(self, dataset_type: str, storage_class: str) -> Product | None:
        """Return what datasets of a type are.

        Parameters
        ----------
        dataset_type, storage_class : `str`
            Name of the type, and of its storage class.

        Returns
        -------
        product : `Product` or `None`
            `None` for what is not listed.
        """
        for table, name in ((self.dataset_types, dataset_type), (self.storage_classes, storage_class)):
            for pattern, product in table.items():
                if fnmatchcase(name, pattern):
                    return product
        return None


@cache
def default_obscore() -> Mapping[str, Any]:
    """Return the configuration of a repository that has none, as in ``obscore.yaml``."""
    import yaml

    text = Path(__file__).with_name("obscore.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


def parse_obscore(given: Mapping[str, Any], where: str) -> ObsCoreConfig:
    """Check a configuration.

    Parameters
    ----------
    given : `Mapping`
        Its parts; those left out are the default's.
    where : `str`
        Where it is from, for messages.

    Returns
    -------
    config : `ObsCoreConfig`
        All parts.

    Raises
    ------
    FileFormatError
        Raised if a part is unknown or of the wrong form.
    """
    if not isinstance(given, Mapping):
        raise FileFormatError(f"{where}: not a mapping of {', '.join(_KEYS)}")
    for key, value in given.items():
        if key not in _KEYS:
            raise FileFormatError(f"{where}: unknown key {key!r}", hint=known_names(str(key), _KEYS))
        if key in _MAPPINGS and not isinstance(value, Mapping):
            raise FileFormatError(f"{where}: {key} must be a mapping, not {value!r}")
    parts = {**default_obscore(), **given}
    collection = parts["obs_collection"]
    return ObsCoreConfig(
        publisher=_word(parts["publisher"], f"{where}: publisher"),
        obs_collection=None if collection is None else _word(collection, f"{where}: obs_collection"),
        spectral_ranges=_ranges(parts["spectral_ranges"], f"{where}: spectral_ranges"),
        facilities={str(k): _word(v, f"{where}: facilities: {k}") for k, v in parts["facilities"].items()},
        dataset_types={
            str(k): _product(v, f"{where}: dataset_types: {k}") for k, v in parts["dataset_types"].items()
        },
        storage_classes={
            str(k): _product(v, f"{where}: storage_classes: {k}") for k, v in parts["storage_classes"].items()
        },
    )


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise FileFormatError(f"{where} must be a text, not {value!r}")
    return value


def _ranges(parts: Mapping[Any, Any], where: str) -> dict[tuple[str, str], tuple[float, float]]:
    found = {}
    for instrument, ranges in parts.items():
        if not isinstance(ranges, Mapping):
            raise FileFormatError(
                f"{where}: {instrument}: {ranges!r} is no mapping of filters or bands",
                hint='for all instruments: {"*": {g: [402.6e-9, 548.3e-9]}}',
            )
        for name, value in ranges.items():
            found[str(instrument), str(name)] = _range(value, f"{where}: {instrument}: {name}")
    return found


def _range(value: Any, where: str) -> tuple[float, float]:
    hint = "[552.0e-9, 691.0e-9]"
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(v, bool) for v in value):
        raise FileFormatError(f"{where}: {value!r} is no range of wavelengths in m", hint=hint)
    try:
        low, high = (float(v) for v in value)  # YAML 1.1 reads 552e-9 as text
    except (TypeError, ValueError, OverflowError):
        raise FileFormatError(f"{where}: {value!r} is no range of wavelengths in m", hint=hint) from None
    if not 0 < low < high < 1:
        raise FileFormatError(f"{where}: {value!r} is no range of wavelengths in m", hint=hint)
    return low, high


def _product(value: Any, where: str) -> Product | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != {"dataproduct_type", "calib_level"}:
        raise FileFormatError(f"{where}: {value!r} is no pair of dataproduct_type and calib_level")
    kind, level = value["dataproduct_type"], value["calib_level"]
    if kind not in PRODUCT_TYPES:
        raise FileFormatError(f"{where}: {kind!r} is none of {', '.join(PRODUCT_TYPES)}")
    if not isinstance(level, int) or isinstance(level, bool) or not 0 <= level <= 4:
        raise FileFormatError(f"{where}: calib_level {level!r} is none of 0 to 4")
    return Product(kind, level)
