"""Readers of images from archives, folders, tables, DICOM and NIfTI files and annotation files."""
