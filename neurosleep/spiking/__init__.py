"""SpikingNetwork, recordings, engines."""
