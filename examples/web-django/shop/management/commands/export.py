from django.core.management.base import BaseCommand

from shop.jobs import OrdersJob
from shop.models import Order


class Command(BaseCommand):
    help = "Have all orders written to a file."

    def handle(self, **options):
        job = OrdersJob()
        count = job.upload_query(Order.objects.values_list("id", "product__name", "quantity"))
        job.save()
        self.stdout.write(f"{count} orders: job {job.id}")
