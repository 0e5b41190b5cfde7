"""From scores to masks: how much of each layer goes, what goes as a whole, exact counts, masks at many levels."""
