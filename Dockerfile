# One image for every process of ours; which one it is, the command says. Needs no network once it is built.
#   docker build --target portal -t clinical-portal:0.1.0 .

FROM node:22.17.0-bookworm-slim AS frontend
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt ./
COPY tools/bootstrap.py tools/bootstrap.py
# Only the pins decide this layer: a change of our own code installs nothing anew.
RUN python tools/bootstrap.py --print > /tmp/requirements.txt \
    && /opt/venv/bin/pip install --constraint constraints.txt --requirement /tmp/requirements.txt

FROM python:3.11.13-slim-bookworm AS portal
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent clinical \
    && install -d -o clinical -g clinical /srv/var /srv/var/imports /srv/var/metrics /srv/var/work
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/clinical
COPY manage.py pyproject.toml package.json dvc.yaml params.yaml ./
COPY clinical_portal clinical_portal
COPY apps apps
COPY ml ml
COPY spark_jobs spark_jobs
COPY templates templates
COPY static static
COPY tools tools
COPY --from=frontend /src/node_modules node_modules
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/srv/var \
    PYTHONPATH=/srv/clinical PYSPARK_PYTHON=/opt/venv/bin/python SPARK_LOCAL_DIRS=/srv/var/work MPLCONFIGDIR=/tmp/matplotlib
# Static files are gathered while the image is built, as production reads them, under settings that need no secret of it.
RUN export VAR_DIR=/tmp/build \
    && python tools/vendor_static.py \
    && rm -rf node_modules \
    && DJANGO_SETTINGS_MODULE=clinical_portal.settings.image python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /tmp/build
USER 10001:10001
ENV DEPLOYMENT=production DJANGO_SETTINGS_MODULE=clinical_portal.settings.production
EXPOSE 8000 8001
CMD ["python", "-m", "clinical_portal.web"]

# Airflow's own packages do not install beside ours: they get an environment of their own, and its tasks call ours by path.
FROM portal AS airflow
USER root
RUN python -m venv /opt/airflow \
    && /opt/airflow/bin/pip install --no-cache-dir apache-airflow==3.3.2 apache-airflow-providers-standard psycopg2-binary \
    && install -d -o clinical -g clinical /srv/airflow
COPY deploy/airflow/dags /srv/airflow/dags
ENV AIRFLOW_HOME=/srv/airflow
USER 10001:10001
CMD ["/opt/airflow/bin/airflow", "standalone"]
