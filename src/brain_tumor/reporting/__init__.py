"""Report pages and model cards from metrics and plots."""
