"""Preprocessing operations on images and masks."""
