-- Beside the portal's own database: MLflow's runs, Airflow's.
CREATE DATABASE mlflow;
CREATE DATABASE airflow;
