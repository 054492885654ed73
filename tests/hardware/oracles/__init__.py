"""What chips compute, transcribed from the sources that their profiles cite; only tests use it."""
