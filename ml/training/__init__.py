"""Training of the network, its record in MLflow, and the door `python -m ml.training`.

The only package that imports torch and mlflow; web, API and live processes never import it.
"""
