"""One public module per file type; a name that begins with `_` is shared by several of them."""
