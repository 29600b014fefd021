"""Charts and contact sheets; takes arrays and tables and computes no result."""
