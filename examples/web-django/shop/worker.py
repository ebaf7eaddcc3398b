"""What `rocketjob server` imports: Django, set up, and then the jobs."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from shop.jobs import ReceiptJob  # noqa: E402  models cannot be imported before

__all__ = ["ReceiptJob"]
