"""Everything that is true of the data and the model without Django, Celery, Spark or Kafka."""
