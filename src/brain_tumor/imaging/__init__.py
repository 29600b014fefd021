"""Decoding and encoding image files, and locating the head in an image; independent of data sets and models."""
