"""Networks and spikes in the SONATA format."""
