"""What a chip is: its profile, read from a file, checked, each figure with its source."""
