"""Smaller models: channels cut out, filters removed, normalizations folded."""
