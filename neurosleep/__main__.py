"""``python -m neurosleep``."""

from neurosleep.cli import main

if __name__ == "__main__":
    main()
