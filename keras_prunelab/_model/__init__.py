"""A model's variables and their roles, what is prunable, copies, its state, and batches of data."""
