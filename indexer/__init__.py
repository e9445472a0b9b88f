"""Evidence in, items out: walks, unpacks and reads what was seized, and never writes to it."""

VERSION = "0.1.0"
"""Of Archivore; it goes into every run, record and export."""
