"""The tables and figures of the papers by one command: what is missing is run, and written beside what is published."""
