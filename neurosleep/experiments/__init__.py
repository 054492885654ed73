"""Published experiments, the runner and run folders."""
