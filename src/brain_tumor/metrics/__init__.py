"""Classification metrics and their intervals."""
