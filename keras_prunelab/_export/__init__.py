"""Files that keep the zeros."""
