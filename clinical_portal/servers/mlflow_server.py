"""MLflow's server: runs and registered models in PostgreSQL, files in ``var/mlflow``."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from clinical_portal.servers import postgres
from clinical_portal.servers.launch import Launch, Site


def launch(site: Site) -> Launch:
    artifacts = site.folder / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    store = postgres.url(site.ports["postgres"], site.secrets["postgres"], "mlflow")
    return Launch(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(site.port)),
            *("--workers", "1", "--serve-artifacts", "--artifacts-destination", artifacts.as_uri()),
        ],
        env={
            # In the environment, not the command line: the address holds the password.
            "MLFLOW_BACKEND_STORE_URI": store.replace("postgresql://", "postgresql+psycopg2://", 1),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # saves 270 MB; nothing here uses it
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        cwd=site.folder,
    )


def ready(site: Site) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/health", timeout=5) as answer:
            return "" if answer.status == 200 else f"answers {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return str(error)


def addresses(site: Site) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{site.port}"}
