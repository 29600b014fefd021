"""Command line: `brain-tumor predict`, `app` and `audit`."""
