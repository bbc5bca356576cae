"""Real servers without root and without Docker: PostgreSQL, Valkey, a Kafka-protocol broker and MLflow from PyPI.

``table.SERVERS`` says what there is, ``stack.Stack`` starts, adopts and stops them; ``make run``, ``make test`` and
``make shell`` all go through it. Production brings its own servers and never imports this package.
"""
