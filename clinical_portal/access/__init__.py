"""Who gets what at which address: worked out from what views declare, printed as a page, and asked in a test."""
