"""Write ``.env`` for docker-compose.yml: every secret random, every answer that only you know asked for by name.

    python -m tools.compose_env --host risk.example.org --trial T-101 --webhook https://hooks.example.org/x \
        --certificate chain.pem --key key.pem          (or --self-signed, to look at it on one machine)

Nothing that is there is overwritten: a second run is refused, since the databases keep the first run's passwords.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TLS_FOLDER = "var/tls"

#: Names of random texts. URL-safe, since some stand inside addresses.
SECRETS = (
    "SECRET_KEY",
    "POSTGRES_SUPERUSER_PASSWORD",
    "POSTGRES_PASSWORD",
    "VALKEY_PASSWORD",
    "MINIO_ROOT_PASSWORD",
    "S3_SECRET_KEY",
    "GRAFANA_ADMIN_PASSWORD",
    "ELASTIC_PASSWORD",
    "KIBANA_PASSWORD",
    "KIBANA_ENCRYPTION_KEY",
    "AIRFLOW_SECRET_KEY",
)


def values(host: str, trial: str, certificate: str, key: str, webhook_file: str) -> dict[str, str]:
    """Every variable that docker-compose.yml asks for, with fresh secrets."""
    made = {name: secrets.token_urlsafe(48) for name in SECRETS}
    return made | {
        "AUDIT_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "MINIO_ROOT_USER": f"root-{secrets.token_hex(4)}",
        "GRAFANA_ADMIN_USER": f"operator-{secrets.token_hex(4)}",
        "ALLOWED_HOSTS": host,
        "CSRF_TRUSTED_ORIGINS": f"https://{host}",
        "DEFAULT_TRIAL_ID": trial,
        "TLS_CERTIFICATE": certificate,
        "TLS_KEY": key,
        "ALERT_WEBHOOK_FILE": webhook_file,
        "SPARK_WORKER_CPUS": str(min(8, os.cpu_count() or 1)),  # Docker refuses a limit above what the machine has
    }


def self_signed(host: str, folder: Path) -> tuple[Path, Path]:
    """A certificate for one host, good for 30 days, that no browser trusts; for looking at the platform."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    _private(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
    return certificate, key


def _private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, and only if it is not there."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the portal's host name")
    parser.add_argument("--trial", required=True, help="the trial of messages that name none")
    parser.add_argument("--webhook", required=True, help="https address to which operators' alerts are posted")
    parser.add_argument("--certificate", type=Path, help="certificate chain, PEM")
    parser.add_argument("--key", type=Path, help="its private key, PEM")
    parser.add_argument("--self-signed", action="store_true", help="make a certificate that no browser trusts")
    parser.add_argument("--out", type=Path, default=ROOT / ".env")
    given = parser.parse_args(arguments)
    if given.out.exists():
        print(f"{given.out} is there already, and the databases know its passwords: edit it.", file=sys.stderr)
        return 1
    if not given.self_signed and not (given.certificate and given.key):
        print("Give --certificate and --key, or --self-signed to look at it on one machine.", file=sys.stderr)
        return 1
    folder = given.out.parent / TLS_FOLDER
    certificate, key = self_signed(given.host, folder) if given.self_signed else (given.certificate, given.key)
    if missing := [str(path) for path in (certificate, key) if not path.is_file()]:
        print(f"There is no file {' and no file '.join(missing)}.", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    webhook_file = folder / "alert_webhook"
    _private(webhook_file, given.webhook)
    made = values(given.host, given.trial, str(certificate.resolve()), str(key.resolve()), str(webhook_file.resolve()))
    _private(given.out, "".join(f"{name}={value}\n" for name, value in made.items()))
    print(f"{given.out} holds {len(made)} values. Keep it as you keep a password; nothing else knows them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
