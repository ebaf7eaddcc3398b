"""Something to order."""

from django.db import migrations


def add(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    product.objects.create(name="Kettle", stock=12)
    product.objects.create(name="Teapot", stock=3)


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
