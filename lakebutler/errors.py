# SPDX-License-Identifier: BSD-3-Clause
"""The one tree of errors.

::

    ButlerError
      ButlerUserError                      the caller can mend it
        AmbiguousDatasetError              (LookupError)
        CalibrationLookupError             (LookupError)
        DatasetNotFoundError               (LookupError, FileNotFoundError)
        DatasetTypeNotSupportedError       (RuntimeError)
        EmptyQueryResultError              (LookupError)
        ExternalFileError                  (PermissionError)
        FileFormatError                    (ValueError)
          FormatterNotImplementedError     (NotImplementedError)
        FileIntegrityError                 (OSError)
        HeaderError                        (ValueError)
        InconsistentUniverseError          (ValueError)
        InstrumentError                    (LookupError)
        InvalidQueryError                  (ValueError)
          MissingSpatialOverlapError
          UserExpressionError
            UserExpressionSyntaxError
        NameRuleError                      (ValueError)
        ReadOnlyButlerError                (PermissionError, TypeError)
        RegistryError                      what the registry refuses
          ArgumentError                    (TypeError)
          CollectionError                  (ValueError)
            CollectionCycleError
            CollectionExpressionError      (TypeError)
            CollectionNameError
            CollectionTypeError            (TypeError)
            MissingCollectionError         (LookupError)
            NoDefaultCollectionError
          ConflictingDefinitionError       (ValueError)
            RepositoryExistsError          (FileExistsError)
          DataIdError
            DataIdValueError               (ValueError)
              DimensionValueError
              InconsistentDataIdError
            DimensionNameError             (KeyError)
          DatasetTypeError                 (ValueError)
            ConflictingDatasetTypeError
            DatasetTypeExpressionError     (TypeError)
            MissingDatasetTypeError        (KeyError)
            UnknownComponentError          (KeyError)
          OrphanedRecordError              (LookupError)
          RegistryConsistencyError         (RuntimeError)
        StorageClassError                  (TypeError)
        TrustError                         (PermissionError)
        UnsupportedIdGeneratorError        (ValueError)
        ValidationError                    (RuntimeError)
      RepositoryError                      the repository, not the call, is at fault
        NotARepositoryError                (FileNotFoundError)
        RepositoryFormatError              (ValueError)
        RepositoryCorruptError             (ValueError)
        SnapshotNotFoundError              (LookupError)
          SnapshotExpiredError
        StorageError                       (OSError)
          StorageUncertainError
        UnsafeStoreError                   (OSError)
        CommitUnknownError                 (RuntimeError)
        CommitConflictError                (RuntimeError)

Each class is also the fitting builtin, so that code which knows nothing of this
module can still catch it.  Names that ``lsst.daf.butler`` has keep their name and
meaning here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AmbiguousDatasetError",
    "ArgumentError",
    "ButlerError",
    "ButlerUserError",
    "CalibrationLookupError",
    "CollectionCycleError",
    "CollectionError",
    "CollectionExpressionError",
    "CollectionNameError",
    "CollectionTypeError",
    "CommitConflictError",
    "CommitUnknownError",
    "ConflictingDatasetTypeError",
    "ConflictingDefinitionError",
    "DataIdError",
    "DataIdValueError",
    "DatasetNotFoundError",
    "DatasetTypeError",
    "DatasetTypeExpressionError",
    "DatasetTypeNotSupportedError",
    "DimensionNameError",
    "DimensionValueError",
    "EmptyQueryResultError",
    "ExternalFileError",
    "FileFormatError",
    "FileIntegrityError",
    "FormatterNotImplementedError",
    "HeaderError",
    "InconsistentDataIdError",
    "InconsistentUniverseError",
    "InstrumentError",
    "InvalidQueryError",
    "MissingCollectionError",
    "MissingDatasetTypeError",
    "MissingSpatialOverlapError",
    "NameRuleError",
    "NoDefaultCollectionError",
    "NotARepositoryError",
    "OrphanedRecordError",
    "ReadOnlyButlerError",
    "RegistryConsistencyError",
    "RegistryError",
    "RepositoryCorruptError",
    "RepositoryError",
    "RepositoryExistsError",
    "RepositoryFormatError",
    "SnapshotExpiredError",
    "SnapshotNotFoundError",
    "StorageClassError",
    "StorageError",
    "StorageUncertainError",
    "TrustError",
    "UnknownComponentError",
    "UnsafeStoreError",
    "UnsupportedIdGeneratorError",
    "UserExpressionError",
    "UserExpressionSyntaxError",
    "ValidationError",
    "did_you_mean",
    "known_names",
]


class ButlerError(Exception):
    """Root of every error that lakebutler raises on purpose.

    Parameters
    ----------
    message : `str`
        One line: what was wrong, and where.
    hint : `str`, optional
        What to try next.
    """

    kind: str = "error"

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        message = _shortened(message)
        super().__init__(message)
        self.message = message
        self.hint = _shortened(hint) if hint else hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _shortened(text: str) -> str:
    """Text of which an input that it names may be very long."""
    return text if len(text) <= 1200 else f"{text[:900]} … ({len(text)} characters) … {text[-200:]}"


def _rebuild(cls: type[ButlerError], message: str, hint: str | None) -> ButlerError:
    return cls(message, hint=hint)


class ButlerUserError(ButlerError):
    """The caller can mend it."""

    kind = "user"


class RepositoryError(ButlerError):
    """The repository or its storage is at fault, not the call."""

    kind = "repository"


# ------------------------------------------------------------------ user errors


class RegistryError(ButlerUserError):
    """The registry refuses what was asked."""

    kind = "registry"


class ArgumentError(RegistryError, TypeError):
    """Arguments do not go together."""

    kind = "argument"


class DataIdError(RegistryError):
    """Something is wrong with a data ID."""

    kind = "data_id"


class RegistryConsistencyError(RegistryError, RuntimeError):
    """Two parts of the registry contradict each other; kept for its name, never raised here."""

    kind = "registry_consistency"


class AmbiguousDatasetError(ButlerUserError, LookupError):
    """A reference does not say which dataset; kept for its name: references always do here."""

    kind = "ambiguous_dataset"


class InconsistentUniverseError(ButlerUserError, ValueError):
    """Two things belong to different universes of dimensions."""

    kind = "inconsistent_universe"


class UnsupportedIdGeneratorError(ButlerUserError, ValueError):
    """There is no such way to make dataset IDs."""

    kind = "unsupported_id_generator"


class DatasetTypeNotSupportedError(ButlerUserError, RuntimeError):
    """The repository's configuration does not let this be done with datasets of this type."""

    kind = "dataset_type_not_supported"


class ValidationError(ButlerUserError, RuntimeError):
    """The repository's configuration does not fit its dataset types."""

    kind = "validation"


class CalibrationLookupError(ButlerUserError, LookupError):
    """No single calibration dataset answers the question."""

    kind = "calibration_lookup"


class CollectionError(RegistryError, ValueError):
    """Something is wrong with a collection."""

    kind = "collection"


class CollectionCycleError(CollectionError):
    """A chain would contain itself."""

    kind = "collection_cycle"


class CollectionExpressionError(CollectionError, TypeError):
    """What names collections is no name, glob or sequence of them."""

    kind = "collection_expression"


class CollectionNameError(CollectionError):
    """A collection name breaks the naming rules."""

    kind = "collection_name"


class CollectionTypeError(CollectionError, TypeError):
    """The operation does not apply to a collection of this type."""

    kind = "collection_type"


class MissingCollectionError(CollectionError, LookupError):
    """There is no collection of this name."""

    kind = "missing_collection"


class NoDefaultCollectionError(CollectionError):
    """The call names no collection and the butler has no default."""

    kind = "no_default_collection"


class ConflictingDefinitionError(RegistryError, ValueError):
    """The repository already holds something different under this identity."""

    kind = "conflict"


class RepositoryExistsError(ConflictingDefinitionError, FileExistsError):
    """There is already a repository at this place."""

    kind = "repository_exists"


class DataIdValueError(DataIdError, ValueError):
    """A data ID value is wrong."""

    kind = "data_id_value"


class DimensionValueError(DataIdValueError):
    """A dimension value is of the wrong type, missing or unknown."""

    kind = "dimension_value"


class InconsistentDataIdError(DataIdValueError):
    """Two values of one data ID contradict each other."""

    kind = "inconsistent_data_id"


class DatasetNotFoundError(ButlerUserError, LookupError, FileNotFoundError):
    """No dataset answers the question."""

    kind = "dataset_not_found"


class DatasetTypeError(RegistryError, ValueError):
    """Something is wrong with a dataset type."""

    kind = "dataset_type"


class ConflictingDatasetTypeError(DatasetTypeError, ConflictingDefinitionError):
    """A dataset type of this name is registered with another definition."""

    kind = "conflicting_dataset_type"


class DatasetTypeExpressionError(DatasetTypeError, TypeError):
    """What names dataset types is no name, glob or sequence of them."""

    kind = "dataset_type_expression"


class MissingDatasetTypeError(DatasetTypeError, KeyError):
    """There is no dataset type of this name."""

    kind = "missing_dataset_type"


class UnknownComponentError(DatasetTypeError, KeyError):
    """A storage class has no component of this name."""

    kind = "unknown_component"


class DimensionNameError(DataIdError, KeyError):
    """There is no dimension of this name, or it is missing from a data ID."""

    kind = "dimension_name"


class EmptyQueryResultError(ButlerUserError, LookupError):
    """A query that had to find something found nothing.

    Parameters
    ----------
    reasons : iterable of `str` or `str`
        Why, one line each.
    """

    kind = "empty_query"

    def __init__(self, reasons: Iterable[str] | str = (), *, hint: str | None = None) -> None:
        if isinstance(reasons, str):
            self.reasons: tuple[str, ...] = tuple(reasons.splitlines())
        else:
            self.reasons = tuple(reasons)
        super().__init__("\n".join(self.reasons) or "the query found nothing", hint=hint)


class ExternalFileError(ButlerUserError, PermissionError):
    """A dataset's file lies outside the repository, where reading was not allowed."""

    kind = "external_file"


class FileFormatError(ButlerUserError, ValueError):
    """A file cannot be read or an object cannot be written in this format."""

    kind = "file_format"


class FormatterNotImplementedError(FileFormatError, NotImplementedError):
    """A formatter cannot do what was asked."""

    kind = "formatter_not_implemented"


class FileIntegrityError(ButlerUserError, OSError):
    """A file is not the one that was recorded."""

    kind = "file_integrity"


class HeaderError(ButlerUserError, ValueError):
    """A header cannot be translated into what the registry needs."""

    kind = "header"


class InstrumentError(ButlerUserError, LookupError):
    """There is no instrument of this name, or its description is wrong."""

    kind = "instrument"


class InvalidQueryError(ButlerUserError, ValueError):
    """A query cannot be understood or makes no sense."""

    kind = "invalid_query"


class UserExpressionError(InvalidQueryError):
    """A ``where`` expression cannot be parsed."""

    kind = "user_expression"


class UserExpressionSyntaxError(UserExpressionError):
    """A ``where`` expression breaks the grammar."""

    kind = "user_expression_syntax"


class MissingSpatialOverlapError(InvalidQueryError):
    """Kept for its name, never raised here: every overlap can be worked out."""

    kind = "missing_spatial_overlap"


class NameRuleError(ButlerUserError, ValueError):
    """A name breaks the naming rules."""

    kind = "name_rule"


class OrphanedRecordError(RegistryError, LookupError):
    """Something else still refers to what was to be removed."""

    kind = "orphaned_record"


class ReadOnlyButlerError(ButlerUserError, PermissionError, TypeError):
    """The butler was opened for reading only."""

    kind = "read_only"


class StorageClassError(ButlerUserError, TypeError):
    """A storage class is unknown, or an object does not fit it."""

    kind = "storage_class"


class TrustError(ButlerUserError, PermissionError):
    """Reading this would run code from the file; the caller has not said so."""

    kind = "trust"


# ------------------------------------------------------------ repository errors


class NotARepositoryError(RepositoryError, FileNotFoundError):
    """There is no repository at this place."""

    kind = "not_a_repository"


class RepositoryFormatError(RepositoryError, ValueError):
    """The repository is of a format that this version does not read or write."""

    kind = "repository_format"


class RepositoryCorruptError(RepositoryError, ValueError):
    """A file of the registry is missing or is not the one that was committed."""

    kind = "repository_corrupt"


class SnapshotNotFoundError(RepositoryError, LookupError):
    """There is no such version, tag or time in the history."""

    kind = "snapshot_not_found"


class SnapshotExpiredError(SnapshotNotFoundError):
    """A vacuum has removed this version."""

    kind = "snapshot_expired"


class StorageError(RepositoryError, OSError):
    """The storage refused a read or a write; nothing was committed."""

    kind = "storage"


class StorageUncertainError(StorageError):
    """The storage gave no answer: the write may or may not have landed."""

    kind = "storage_uncertain"


class UnsafeStoreError(RepositoryError, OSError):
    """The store ignores conditional writes, so that commits could be lost."""

    kind = "unsafe_store"


class CommitUnknownError(RepositoryError, RuntimeError):
    """It cannot be known whether the commit landed; ask again with its transaction id.

    Parameters
    ----------
    txid : `str`
        Transaction id of the commit.
    """

    kind = "commit_unknown"

    def __init__(self, message: str = "", *, hint: str | None = None, txid: str = "") -> None:
        super().__init__(message, hint=hint)
        self.txid = txid


class CommitConflictError(RepositoryError, RuntimeError):
    """The commit lost every race it was allowed to run."""

    kind = "commit_conflict"


# ------------------------------------------------------------------------ hints


def did_you_mean(name: str, choices: Iterable[str], *, limit: int = 3) -> list[str]:
    """Find the choices nearest to a name that is not among them.

    Parameters
    ----------
    name : `str`
        What was given.
    choices : iterable of `str`
        What there is.
    limit : `int`, optional
        How many to return at most.

    Returns
    -------
    nearest : `list` [`str`]
        Best first; empty if nothing comes near.
    """
    pool = sorted(set(choices))
    exact = [c for c in pool if c.casefold() == name.casefold()]
    near = difflib.get_close_matches(name, pool, n=limit, cutoff=0.6)
    inside = [c for c in pool if len(name) > 2 and (name.casefold() in c.casefold())]
    return list(dict.fromkeys(exact + near + inside))[:limit]


def known_names(name: str, choices: Iterable[str], *, what: str = "known") -> str:
    """Make the hint line for an unknown name.

    Parameters
    ----------
    name : `str`
        What was given.
    choices : iterable of `str`
        What there is.
    what : `str`, optional
        The word for the list when nothing comes near.

    Returns
    -------
    hint : `str`
        ``did you mean 'x'?`` or the (shortened) list of what there is.
    """
    pool = sorted(set(choices))
    near = did_you_mean(name, pool)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    if not pool:
        return f"there are no {what} names yet" if what != "known" else "nothing of the kind is known yet"
    shown = ", ".join(pool[:12]) + (f", … ({len(pool)} in all)" if len(pool) > 12 else "")
    return f"{what}: {shown}"
