"""What a sweep has found, as a value: tables, the choice of a trade-off, doubts, plots, files."""
