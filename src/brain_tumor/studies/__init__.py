"""Library code of the studies on finished recipes."""
