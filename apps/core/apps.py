from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from django.conf import settings

        from apps.core import metrics

        if settings.COMPONENT:
            metrics.announce(settings.COMPONENT)
