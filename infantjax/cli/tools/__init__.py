"""Commands about networks, weights and files."""
