"""The shop: orders, a login, and Mission Control behind it."""

import os
from html import escape
from typing import Annotated

from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from shop_data import Order, Product, Session, User, outbox
from shop_jobs import ReceiptJob
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from starlette.middleware.sessions import SessionMiddleware

from rocketjob import JobTimeout, NotFound, StoreUnavailable
from rocketjob_contrib.mission_control import Identity, WebSettings, create_app
from rocketjob_contrib.starlette import lifespan, store_is_away

SECRET = os.environ.get("SHOP_SECRET", "only good for trying it out on one machine")
app = FastAPI(lifespan=lifespan())
app.add_middleware(SessionMiddleware, secret_key=SECRET)
app.add_exception_handler(StoreUnavailable, store_is_away)


# --- Mission Control, behind the login -------------------------------------------------------


def who(request):
    """Say who asks, and what they may do; whoever is not signed in goes to the login."""
    with Session() as session:
        user = session.get(User, request.session.get("user", ""))
    return Identity(user.name, {user.role}) if user else RedirectResponse("/login", 303)


app.mount("/rocketjob", create_app(WebSettings(authorize=who, secret=SECRET, title="Shop")))


# --- orders: functions without `async`, which FastAPI calls on threads, as they wait -----------


def signed_in(request: Request) -> str:
    if "user" not in request.session:
        raise HTTPException(303, headers={"location": "/login"})
    return request.session["user"]


@app.get("/")
def orders(user: Annotated[str, Depends(signed_in)]) -> HTMLResponse:
    with Session() as session:
        found = session.scalars(select(Order).order_by(Order.id.desc()).limit(50)).all()
        rows = "".join(
            f"<li>{order.quantity} x {escape(order.product.name)} for {escape(order.placed_by)}: "
            f"{escape(order.receipt or 'receipt to come')}</li>"
            for order in found
        )
        options = "".join(
            f'<option value="{each.id}">{escape(each.name)} ({each.stock} in stock)</option>'
            for each in session.scalars(select(Product).order_by(Product.name))
        )
    return page(
        "Orders",
        f"""<form method="post">
        <label>Product <select name="product">{options}</select></label>
        <label>Quantity <input type="number" name="quantity" value="1" min="1"></label>
        <button>Order</button></form>
        <ul>{rows}</ul>
        <p><a href="/rocketjob/">Jobs</a></p>
        <form method="post" action="/logout"><button>Sign out</button></form>""",
    )


@app.post("/")
def place(
    user: Annotated[str, Depends(signed_in)],
    product: Annotated[int, Form()],
    quantity: Annotated[int, Form(ge=1, le=1000)],
) -> RedirectResponse:
    """Store an order, and in the same transaction the job for its receipt."""
    order = Order(product_id=product, quantity=quantity, placed_by=user)
    try:
        with Session.begin() as session:
            session.add(order)
            session.flush()  # so that it has an id
            taken = update(Product).values(stock=Product.stock - quantity)
            session.execute(taken.where(Product.id == product))
            job = outbox.add(session, ReceiptJob(order_id=order.id, login=user))
    except IntegrityError:
        raise HTTPException(422, "There are not so many in stock.") from None
    return RedirectResponse(f"/receipts/{job.id}", 303)


@app.get("/receipts/{job_id}")
async def receipt(job_id: str, user: Annotated[str, Depends(signed_in)]) -> RedirectResponse:
    """Show the orders once the receipt is written, which takes a moment.

    It waits on the event loop: hundreds may do so at once, and others are answered meanwhile.
    """
    try:
        job = await ReceiptJob.find_async(job_id)
        if job.login == user:
            await job.wait_async(timeout=5)
    except (NotFound, JobTimeout):
        pass  # no server runs, or the store is away: the receipt is still to come
    return RedirectResponse("/", 303)


# --- the login -------------------------------------------------------------------------------


@app.get("/login")
def login_form() -> HTMLResponse:
    return page(
        "Sign in",
        """<form method="post">
        <label>Name <input name="username"></label>
        <label>Password <input name="password" type="password"></label>
        <button>Sign in</button></form>""",
    )


@app.post("/login")
def login(
    request: Request, username: Annotated[str, Form()], password: Annotated[str, Form()]
) -> RedirectResponse:
    with Session() as session:
        user = session.get(User, username)
    if user is None or not user.has_password(password):
        raise HTTPException(403, "Name or password is wrong.")
    request.session["user"] = user.name
    return RedirectResponse("/", 303)


@app.post("/logout")
def logout(request: Request) -> RedirectResponse:
    request.session.clear()
    return RedirectResponse("/login", 303)


def page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1>{body}</html>'
    )
