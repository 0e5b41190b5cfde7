"""What knows nothing of networks: arrays, files that are whole or not there, registries, progress."""
