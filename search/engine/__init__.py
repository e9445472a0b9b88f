"""A columnar engine for whoosh's queries: flat arrays on disk, whole-array operations on the way."""
