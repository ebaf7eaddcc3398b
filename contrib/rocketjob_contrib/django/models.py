"""The table of the outbox, and a place in the admin for Mission Control."""

from __future__ import annotations

from django.db import models

from rocketjob_contrib.outbox.outbox import TABLE


class OutboxRow(models.Model):  # type: ignore[misc]
    """A job that was committed, and is not in the store yet."""

    id = models.CharField("job", primary_key=True, max_length=24)
    job = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        db_table = TABLE
        default_permissions = ("view", "delete")
        verbose_name = "job in the outbox"
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return str(self.id)


class MissionControl(models.Model):  # type: ignore[misc]
    """Has no table: its page in the admin is Mission Control."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name_plural = "Mission Control"
