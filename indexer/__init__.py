"""Evidence in, items out: walks, unpacks and reads what was seized, and never writes to it."""
