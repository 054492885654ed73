"""Files come from strangers: what they are and what they declare is checked before a library or memory sees it."""
