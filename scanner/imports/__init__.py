"""Other tools' files as recordings: one importer per file."""
