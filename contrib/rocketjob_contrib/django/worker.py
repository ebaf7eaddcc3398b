"""What a server imports: Django, set up, and then the module `jobs` of each app.

`manage.py rocketjob server` names it by itself; a server that is started in another way needs
`app = ["rocketjob_contrib.django.worker"]`, and the variable DJANGO_SETTINGS_MODULE.
"""

from __future__ import annotations

import django
from django.apps import apps
from django.utils.module_loading import autodiscover_modules

if not apps.ready:
    django.setup()
autodiscover_modules("jobs")
