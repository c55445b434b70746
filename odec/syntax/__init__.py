"""Text to tree: the grammar, the parser, the typical mistakes and the house layout."""
