# SPDX-License-Identifier: BSD-3-Clause
"""The registry: dimension records, dataset types, collections and datasets as tables of the lake."""
