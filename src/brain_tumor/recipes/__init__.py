"""Checks of the whole params.yaml before anything runs."""
