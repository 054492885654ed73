"""What a simulation leaves behind: recordings, the monitors that read them, their files."""
