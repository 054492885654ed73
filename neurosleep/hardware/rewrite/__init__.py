"""Network to network: folding, unrolling and splitting, so that a chip can hold it."""
