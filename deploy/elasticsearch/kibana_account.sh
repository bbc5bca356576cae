#!/bin/sh
# Kibana signs in with an account of its own; its password is set at every start.
set -eu
curl --silent --fail --user "elastic:$ELASTIC_PASSWORD" --header 'Content-Type: application/json' \
    --data "{\"password\": \"$KIBANA_PASSWORD\"}" http://elasticsearch:9200/_security/user/kibana_system/_password > /dev/null
