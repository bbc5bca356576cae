"""How dates and times are written where Django writes them itself (the admin): 24 hours, seconds, the zone named."""
