"""What a simulation makes a chip do, in events, time and energy."""
