"""Frame in, frame out. Nothing here reads or writes."""
