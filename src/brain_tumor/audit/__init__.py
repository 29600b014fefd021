"""Audit of a data set: near-duplicates, groups, label conflicts and unusable files."""
