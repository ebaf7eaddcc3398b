from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.db.models import F
from django.shortcuts import redirect, render

from rocketjob_contrib.django import outbox
from shop.forms import OrderForm
from shop.jobs import ReceiptJob
from shop.models import Order, Product


@login_required
def orders(request):
    """Show the orders, and store a new one."""
    form = OrderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            place(form.cleaned_data["product"], form.cleaned_data["quantity"], request.user)
        except IntegrityError:
            form.add_error("quantity", "There are not so many in stock.")
        else:
            return redirect("orders")
    found = Order.objects.select_related("product", "placed_by").order_by("-id")[:50]
    status = 422 if form.errors else 200
    return render(request, "shop/orders.html", {"orders": found, "form": form}, status=status)


def place(product, quantity, user):
    """Store an order and a job for its receipt: both of them, or neither."""
    with transaction.atomic():
        order = Order.objects.create(product=product, quantity=quantity, placed_by=user)
        outbox.add(ReceiptJob(order_id=order.id, login=user.get_username()))
        Product.objects.filter(id=product.id).update(stock=F("stock") - quantity)
