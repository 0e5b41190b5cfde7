"""Which channels of a model go together, which are constant, and which are read."""
