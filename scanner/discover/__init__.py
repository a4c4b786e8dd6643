"""Ways of finding hosts, and the book in which what they find becomes devices."""
