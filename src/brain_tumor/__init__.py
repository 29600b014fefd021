"""Library of the pipeline; independent of DVC and of file paths."""
