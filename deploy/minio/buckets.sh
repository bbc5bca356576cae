#!/bin/sh
# The three buckets, versioned, and one account that may read and write them and nothing else.
# Runs at every start; what is there already stays as it is.
set -eu
mc alias set store http://minio:9000 "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" > /dev/null
for bucket in clinical-mlops mlflow-artifacts dvc-storage; do
    mc mb --ignore-existing "store/$bucket"
    mc version enable "store/$bucket"
done
mc admin policy create store lake-writer /setup/lake-writer.json
mc admin user add store "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
mc admin policy attach store lake-writer --user "$S3_ACCESS_KEY" || true # attached at an earlier start
