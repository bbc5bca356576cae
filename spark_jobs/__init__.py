"""The heavy work, on Spark: from bronze to silver, from silver to features and labels.

Spark partitions, shuffles and retries; the work on rows is done by `ml` on whole Arrow tables inside its tasks.
"""
