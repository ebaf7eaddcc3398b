"""The admin: a link to Mission Control, where it is mounted, and what waits in the outbox."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse

from rocketjob_contrib.django.models import MissionControl, OutboxRow


@admin.register(MissionControl)
class MissionControlAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """The link: whoever follows it is known to Mission Control by its own `authorize`."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect(_mission_control() or "admin:index")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_staff) and _mission_control() is not None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(OutboxRow)
class OutboxAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """Rows are looked at, and removed where a job is not wanted after all."""

    list_display = ("id", "created_at", "error")
    fields = ("id", "created_at", "error")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _mission_control() -> str | None:
    """Return the path of Mission Control; None if the project's URLs do not have it."""
    try:
        return str(reverse("rocketjob", kwargs={"path": ""}))
    except NoReverseMatch:
        return None
