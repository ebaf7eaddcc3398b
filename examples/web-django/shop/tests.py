from io import BytesIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import TestCase

from rocketjob_contrib.django import outbox
from rocketjob_contrib.django.testing import WithRocketJob
from shop.jobs import OrdersJob, ReceiptJob
from shop.models import Order


class OrderTests(WithRocketJob, TestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(User.objects.create_superuser("ada"))

    def order(self, **form):
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post("/", form)

    def test_an_order_gets_its_receipt(self):
        self.order(product=1, quantity=2)
        self.assertEqual(self.rocketjob.work_off(), 1)
        self.assertEqual(Order.objects.get().receipt, "Receipt no. 1: 2 x Kettle")

    def test_no_job_comes_of_an_order_that_is_rolled_back(self):
        self.assertEqual(self.order(product=2, quantity=4).status_code, 422)
        self.assertEqual((outbox.relay(), ReceiptJob.count()), (0, 0))

    def test_what_the_outbox_has_is_relayed_once(self):
        self.client.post("/", {"product": 1, "quantity": 1})  # and nobody relays it at once
        self.assertEqual(ReceiptJob.count(), 0)
        self.assertEqual((outbox.relay(), outbox.relay()), (1, 0))
        self.assertEqual(ReceiptJob.count(), 1)

    def test_all_orders_are_written_to_a_file(self):
        self.order(product=1, quantity=2)
        call_command("export", verbosity=0)
        self.rocketjob.work_off()
        file = BytesIO()
        OrdersJob.first().download(file)
        self.assertEqual(file.getvalue(), b"order,product,quantity\n1,Kettle,2\n")

    def test_the_admin_has_a_link_to_mission_control(self):
        self.assertContains(self.client.get("/admin/"), "/admin/rocketjob/missioncontrol/")
        there = self.client.get("/admin/rocketjob/missioncontrol/")
        self.assertRedirects(there, "/rocketjob/", fetch_redirect_response=False)
