"""`python -m keras_prunelab` is `prunelab`, for shells that do not find installed commands."""

from .cli import main

main()
