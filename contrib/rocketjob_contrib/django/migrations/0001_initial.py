"""The table of the outbox."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="MissionControl",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "Mission Control",
                "default_permissions": (),
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=24, primary_key=True, serialize=False, verbose_name="job"
                    ),
                ),
                ("job", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("error", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "job in the outbox",
                "verbose_name_plural": "outbox",
                "db_table": "rocketjob_outbox",
                "default_permissions": ("view", "delete"),
            },
        ),
    ]
