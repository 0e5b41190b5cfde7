"""Data for networks: arrays, sequences, tables, datastores, folders and zips of images, with their labels."""

from ._candidates import Candidate, Candidates
from ._dataset import Dataset
from ._find import candidates
from ._groups import load_groups
from ._imdb import Imdb, load_imdb
from ._load import load_dataset
from ._padding import Padded

__all__ = [
    "Candidate",
    "Candidates",
    "Dataset",
    "Imdb",
    "Padded",
    "candidates",
    "load_dataset",
    "load_groups",
    "load_imdb",
]
