"""Presenters turn rows into finished words and coordinates; templates only place them."""
