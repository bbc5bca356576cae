"""The fixtures other tests stand on."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import pytest


def test_django_uses_the_real_postgresql(pg: None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL")


def test_valkey_is_empty_and_answers(valkey) -> None:  # type: ignore[no-untyped-def]
    assert valkey.dbsize() == 0
    valkey.set("key", b"value")
    assert valkey.get("key") == b"value"


def test_a_message_comes_back_from_the_broker(kafka: list[str], topic_name: str) -> None:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics([NewTopic(topic_name, num_partitions=2, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=kafka)
    sent = producer.send(topic_name, key=b"DEMO/1", value=b"{}", headers=[("producer", b"test")], partition=1).get(10)
    consumer = KafkaConsumer(bootstrap_servers=kafka, group_id=None)
    partition = TopicPartition(topic_name, 1)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    record = next(iter(consumer.poll(10_000)[partition]))
    assert (record.offset, record.key, record.value, record.headers) == (
        sent.offset,
        b"DEMO/1",
        b"{}",
        [("producer", b"test")],
    )
    for client in (consumer, producer, admin):
        client.close()


def test_the_lake_is_an_empty_folder(lake: str) -> None:
    assert list(Path(urlparse(lake).path).iterdir()) == []


def test_s3_keeps_an_object(s3: dict[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3["endpoint"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        region_name="us-east-1",
    )
    client.put_object(Bucket=s3["bucket"], Key="a/b", Body=b"c")
    assert client.get_object(Bucket=s3["bucket"], Key="a/b")["Body"].read() == b"c"
    client.close()


@pytest.mark.browser
def test_the_browser_shows_a_page(page) -> None:  # type: ignore[no-untyped-def]
    page.set_content("<h1>Ready</h1>")
    assert page.inner_text("h1") == "Ready"
