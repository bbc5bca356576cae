"""The Django project: settings, addresses, processes. Imports nothing heavy, so that the supervisor can use it."""
