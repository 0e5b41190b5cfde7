"""What a network, or a file that was exported, is worth on data: metrics, paired errors, right answers by class."""
