"""What each method of pruning is worth: the same networks, data, epochs and seeds for all of them."""
