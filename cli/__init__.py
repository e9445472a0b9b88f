"""The `archivore` command: arguments in, one call into the core, text out."""
