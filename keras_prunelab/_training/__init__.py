"""Masks inside the compiled train step, what a checkpoint records, and what a model was at a step."""
