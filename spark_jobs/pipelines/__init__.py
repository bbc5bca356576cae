"""One module a job: what is read, which transforms are applied, what is written."""
