from django import forms

from shop.models import Product


class OrderForm(forms.Form):
    product = forms.ModelChoiceField(Product.objects.order_by("name"))
    quantity = forms.IntegerField(min_value=1, max_value=1000, initial=1)
