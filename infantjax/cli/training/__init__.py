"""Commands that train, split and search."""
