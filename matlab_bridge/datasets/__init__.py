"""Data for networks: arrays, sequences, tables, datastores, folders and zips of images, with their labels."""

from ._dataset import Dataset
from ._find import Candidate, Candidates, candidates
from ._load import load_dataset

__all__ = ["Candidate", "Candidates", "Dataset", "candidates", "load_dataset"]
