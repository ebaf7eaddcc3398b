"""The jobs of the shop."""

from decimal import ROUND_HALF_UP, Decimal

from rocketjob import Job
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory

TAX = Decimal("1.19")


class PriceListJob(Batch, Job):
    """Read a price list with columns `article` and `price`, and add the tax."""

    destroy_on_complete = False  # keep it, until somebody has fetched the result
    input_category = InputCategory(
        format="csv", required_columns=["article", "price"], slice_size=1000
    )
    output_category = OutputCategory(format="csv", columns=["article", "gross"])
    max_rejects = 100  # lines that cannot be read are set aside, up to here

    login: str  # whose job it is: the role `user` may pause, retry and abort one's own

    def perform(self, row: dict) -> dict:
        gross = (Decimal(row["price"]) * TAX).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return {"article": row["article"], "gross": str(gross)}
