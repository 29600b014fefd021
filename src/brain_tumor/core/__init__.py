"""Shared by all stages: errors, parameters, outputs, the command line of stages, array types."""
