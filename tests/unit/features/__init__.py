"""Table, kernel, reference, window and vectors."""
