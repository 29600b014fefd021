"""Readers of images from archives, folders, tables, clinical volumes and annotation files."""
