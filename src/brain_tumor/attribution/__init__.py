"""Attribution maps and their quality checks."""
