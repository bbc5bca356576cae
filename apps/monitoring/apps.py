from __future__ import annotations

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "apps.monitoring"
    label = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        from apps.core import metrics
        from apps.monitoring import collectors

        for source in collectors.SOURCES:
            metrics.add_source(source)
