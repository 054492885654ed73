"""The engine that touches only what fired, compiled."""
