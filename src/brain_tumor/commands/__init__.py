"""Command line: `brain-tumor audit`, `gate`, `split`, `clean`, `predict` and `app`."""
