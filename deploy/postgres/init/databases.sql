-- The account of our processes owns its databases and is no superuser: it can switch no trigger of the audit trail off for a
-- session, read no file and make no account. Run once, by the superuser, when the volume is empty.
\getenv password APPLICATION_PASSWORD
CREATE ROLE clinical LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE clinical OWNER clinical;
-- Beside the portal's own database: MLflow's runs, Airflow's.
CREATE DATABASE mlflow OWNER clinical;
CREATE DATABASE airflow OWNER clinical;
