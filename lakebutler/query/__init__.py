# SPDX-License-Identifier: BSD-3-Clause
"""Queries: where-language, pure plan, DuckDB SQL, results."""
