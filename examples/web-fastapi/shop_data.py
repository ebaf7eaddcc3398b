"""What the shop stores, and its users."""

import hashlib
import hmac
import os

from sqlalchemy import CheckConstraint, ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

from rocketjob_contrib.sqlalchemy import Outbox

engine = create_engine(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


outbox = Outbox(engine, Base.metadata)  # its table is made with the others


class Product(Base):
    __tablename__ = "products"
    __table_args__ = (CheckConstraint("stock >= 0"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    stock: Mapped[int]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    product: Mapped[Product] = relationship()
    quantity: Mapped[int]
    placed_by: Mapped[str]
    receipt: Mapped[str | None]  # written by ReceiptJob


class User(Base):
    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    salt: Mapped[bytes]
    password: Mapped[bytes]
    role: Mapped[str]  # of Mission Control

    def set_password(self, password: str) -> None:
        self.salt = os.urandom(16)
        self.password = _digest(password, self.salt)

    def has_password(self, password: str) -> bool:
        return hmac.compare_digest(self.password, _digest(password, self.salt))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def set_up(password: str) -> None:
    """Create the tables, something to order, and two users with this password."""
    Base.metadata.create_all(engine)
    with Session.begin() as session:
        session.add_all([Product(name="Kettle", stock=12), Product(name="Teapot", stock=3)])
        for name, role in (("ada", "admin"), ("joe", "user")):
            user = User(name=name, role=role)
            user.set_password(password)
            session.add(user)


if __name__ == "__main__":
    set_up(os.environ["SHOP_PASSWORD"])
