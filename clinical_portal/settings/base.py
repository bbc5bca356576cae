"""Settings that hold on every machine; what differs comes from ``clinical_portal.env``."""

from __future__ import annotations

from datetime import timedelta

import environ
from csp.constants import NONE, SELF

import clinical_portal.celery  # noqa: F401 - shared tasks of every process bind to this application
from clinical_portal.env import BASE_DIR, env
from clinical_portal.java import java_home
from clinical_portal.logging import logging_config
from clinical_portal.schedule import beat_schedule

SECRET_KEY = env.text("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
ROOT_URLCONF = "clinical_portal.urls"
ASGI_APPLICATION = "clinical_portal.asgi.application"
WSGI_APPLICATION = "clinical_portal.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

HOUSE_APPS = [
    "apps.core",
    "apps.audit",
    "apps.accounts",
    "apps.patients",
    "apps.ingestion",
    "apps.pipelines",
    "apps.registry",
    "apps.predictions",
    "apps.alerts",
    "apps.monitoring",
    "apps.portal",
]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "django_prometheus",
    "django_celery_beat",
    "csp",
    "auditlog",
    "axes",
    *HOUSE_APPS,
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",  # the API counts for itself: these cost it a tenth
    "apps.core.correlation.CorrelationMiddleware",
    "apps.core.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # These two answer without looking at who asks.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.accounts.methods.MethodMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.sessions.SessionLimitsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# A connection per request: under ASGI each request has a thread of its own, and a kept connection would outlive it.
# The API (threads that live long) keeps its connections; see settings/api.py.
DATABASES = {"default": environ.Env.db_url_config(env.text("DATABASE_URL"))}
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": env.redis_url(3)}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": env.redis_url(2), "socket_timeout": 30}]},
    },
}

# --- who may come in -------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "apps.accounts.backends.HouseBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
# Five wrong passwords for one name from one address lock that pair: a stranger elsewhere cannot lock a coordinator out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
# Ana, ana and ＡＮＡ are one person, so their wrong passwords count together.
AXES_USERNAME_CALLABLE = "apps.accounts.names.counted_name"
AXES_RESET_ON_SUCCESS = True
AXES_HTTP_RESPONSE_CODE = 429
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "apps.accounts.addresses.client_address"
PROXY_COUNT = 0  # proxies of our own before the portal; production says how many
AXES_LOCKOUT_CALLABLE = "apps.portal.views.access.locked_out"
CSRF_FAILURE_VIEW = "apps.portal.views.errors.csrf_failure"
SESSION_ENGINE = "apps.accounts.sessions"  # idle and absolute limits are its table
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script reads the cookie
MESSAGE_STORAGE = (
    "django.contrib.messages.storage.session.SessionStorage"  # what is told names people: no cookie holds it
)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# --- size limits -----------------------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
# To disk as they arrive, counted, and only where a page asks for files.
FILE_UPLOAD_HANDLERS = ["apps.ingestion.imports.incoming.Incoming"]

# --- words and times -------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
USE_I18N = False
FORMAT_MODULE_PATH = "clinical_portal.formats"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site builds on our files

LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_config(env.text("LOG_LEVEL"))

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "apps.core.problems.exception_handler",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is answered nowhere
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Clinical risk predictions",
    "DESCRIPTION": "Who is heading for an adverse event in the next 24 hours, and why.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

# --- work in the background ------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.redis_url(1)
CELERY_TASK_IGNORE_RESULT = True  # outcomes are rows (JobRun), not results in a cache
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.integer("WORKER_CONCURRENCY")
CELERY_TASK_TIME_LIMIT = 3 * 3600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 4 * 3600}  # above the time limit: no job is handed out twice
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = beat_schedule()

# --- ours ------------------------------------------------------------------------------------------------------------
DEFAULT_TRIAL_ID = env.text("DEFAULT_TRIAL_ID")
DEMO_ALLOWED = False  # people whose passwords lie in var/, and who sign at once
VAR_DIR = env.var_dir
REDIS_URL = env.redis_url(0)  # the online window
THROTTLE_URL = env.redis_url(3)  # how often a key has asked
KAFKA_BOOTSTRAP_SERVERS = env.words("KAFKA_BOOTSTRAP_SERVERS")
KAFKA_GROUP_ID = env.text("KAFKA_GROUP_ID")
LAKE_URL = env.text("LAKE_URL")
AUDIT_SIGNING_KEY = env.text("AUDIT_SIGNING_KEY")
S3_ENDPOINT = env.text("S3_ENDPOINT")
S3_ACCESS_KEY = env.text("S3_ACCESS_KEY")
S3_SECRET_KEY = env.text("S3_SECRET_KEY")
S3_BUCKET = env.text("S3_BUCKET")
S3_PREFIX = env.text("S3_PREFIX")
SPARK_MASTER_URL = env.text("SPARK_MASTER_URL")
MLFLOW_TRACKING_URI = env.text("MLFLOW_TRACKING_URI")
MODEL_NAME = env.text("MODEL_NAME")
MODEL_STAGE = env.text("MODEL_STAGE")
PRODUCER_RATE = env.number("PRODUCER_RATE")
NUM_PATIENTS = env.integer("NUM_PATIENTS")
HISTORY_DAYS = env.integer("HISTORY_DAYS")
PROCESS_HOURS = env.integer("PROCESS_HOURS")
CHECK_INTERVAL_SECONDS = env.integer("CHECK_INTERVAL_SECONDS")
ALERT_WEBHOOK_URL = env.text("ALERT_WEBHOOK_URL")
IMPORT_ROOT = env.text("IMPORT_ROOT")
WEB_PORT = env.integer("WEB_PORT")
API_PORT = env.integer("API_PORT")
JAVA_HOME = str(java_home(env.text("JAVA_HOME"), env.var_dir) or "")  # for Spark; "" where there is no Java
METRICS_FOLDER = env.text("PROMETHEUS_MULTIPROC_DIR")
METRICS_SHARED = bool(METRICS_FOLDER)  # several processes answer as one at /metrics
METRICS_PORT = env.integer("METRICS_PORT")
METRICS_EVERYWHERE = env.production
COMPONENT = env.text("COMPONENT")
