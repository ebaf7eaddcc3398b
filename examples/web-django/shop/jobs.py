"""The jobs of the shop. They use its models, so Django is set up first: see `worker.py`."""

from rocketjob import Job
from rocketjob_contrib.django import DjangoTransaction
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
