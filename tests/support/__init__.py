"""What tests of several rooms share: makers of people, trials, models and silver rows."""
