"""The jobs of the shop: a server finds the module `jobs` of each app."""

from rocketjob import Job
from rocketjob_contrib.django import DjangoTransaction
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from shop.models import Order


class ReceiptJob(DjangoTransaction, Job):
    """Write the receipt of an order; again if it has to, as a job can be performed twice."""

    destroy_on_complete = False  # keep it, to look at

    order_id: int
    login: str  # whose job it is: the role `user` may pause, retry and abort one's own

    def perform(self) -> None:
        order = Order.objects.select_related("product").get(id=self.order_id)
        order.receipt = f"Receipt no. {order.id}: {order.quantity} x {order.product}"
        order.save(update_fields=["receipt"])


class OrdersJob(Batch, Job):
    """Write all orders to a file, on all workers; `python manage.py export` creates it."""

    destroy_on_complete = False
    input_category = InputCategory(slice_size=1000)
    output_category = OutputCategory(format="csv", columns=["order", "product", "quantity"])

    def perform(self, row: list) -> dict:
        number, product, quantity = row
        return {"order": number, "product": product, "quantity": quantity}
