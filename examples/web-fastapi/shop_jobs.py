"""The jobs of the shop."""

from shop_data import Order, Session

from rocketjob import Job
from rocketjob_contrib.sqlalchemy import SessionTransaction


class ReceiptJob(SessionTransaction, Job):
    """Write the receipt of an order; again if it has to, as a job can be performed twice."""

    sessionmaker = Session
    destroy_on_complete = False  # keep it, to look at

    order_id: int
    login: str  # whose job it is: the role `user` may pause, retry and abort one's own

    def perform(self) -> None:
        order = self.session.get_one(Order, self.order_id)
        order.receipt = f"Receipt no. {order.id}: {order.quantity} x {order.product.name}"
