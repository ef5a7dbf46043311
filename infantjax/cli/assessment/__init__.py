"""Commands that assess recordings."""
