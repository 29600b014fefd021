"""Training, validation and test rows, and train–test leakage between them."""
