"""The pages. Every view says which permission it needs; what says nothing is refused when the program starts."""
