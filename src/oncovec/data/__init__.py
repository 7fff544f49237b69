"""Data, from files to splits: layouts, download, phantoms, decoding, duplicates, groups, splits, audit.

It imports core and metrics.
"""
