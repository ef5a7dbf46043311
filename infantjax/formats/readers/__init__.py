"""One module a format, with `recognizes`, `read` and often `write`."""
