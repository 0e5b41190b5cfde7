"""Many sparsities, several scores and seeds: planned, measured, stored."""
