"""Access logs as events: what their lines say, kept in columns, and asked for by address, user, path and time."""
