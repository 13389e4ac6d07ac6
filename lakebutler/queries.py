# SPDX-License-Identifier: BSD-3-Clause
"""Classes of queries and their results, by the names of ``lsst.daf.butler.queries``.

`Butler.query` and the query methods make them; they are imported for annotations.
"""

from __future__ import annotations

from lakebutler.query.expression_factory import ExpressionFactory
from lakebutler.query.general import GeneralQueryResults, GeneralResultTuple
from lakebutler.query.query import Query
from lakebutler.query.results import (
    DataCoordinateQueryResults,
    DatasetRefQueryResults,
    DimensionRecordQueryResults,
)
from lakebutler.query.results import QueryResults as QueryResultsBase

__all__ = [
    "DataCoordinateQueryResults",
    "DatasetRefQueryResults",
    "DimensionRecordQueryResults",
    "ExpressionFactory",
    "GeneralQueryResults",
    "GeneralResultTuple",
    "Query",
    "QueryResultsBase",
]
