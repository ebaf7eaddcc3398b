from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from rocketjob_contrib.mission_control import Identity, WebSettings
from rocketjob_contrib.mission_control.hosts.django import urls as mission_control
from shop import views

ROLES = {"operations": "operator", "support": "manager"}  # of the members of a group


def who(request):
    """Say who asks, and what they may do; whoever is not signed in goes to the login."""
    user = request.user
    if not user.is_authenticated:
        return auth.redirect_to_login(request.get_full_path())
    if user.is_superuser:
        return Identity(user.get_username(), {"admin"})
    groups = user.groups.values_list("name", flat=True)
    return Identity(user.get_username(), {"user", *(ROLES[g] for g in groups if g in ROLES)})


web = WebSettings(authorize=who, secret=settings.SECRET_KEY, title="Shop")

urlpatterns = [
    path("", views.orders, name="orders"),
    path("login", auth.LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("rocketjob/", include(mission_control(web))),
]
