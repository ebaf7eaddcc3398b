"""Run code that is stored in the job itself, for one-off work without a deployment.

    OnDemandJob.create(code="data['result'] = data['a'] * data['b']", data={"a": 10, "b": 2})

    job = OnDemandBatchJob(code="return row * 2", collect_output=True)
    job.upload([1, 2, 3])
    job.save()

`code` is the body of `perform`: it may `return`, and sees `self` (also as `job`), `data`,
`logger`, and in a batch `row`. Its syntax is checked when the job is saved. What it writes to
`data` is saved with the job; in a batch, only what `before_code` and `after_code` write is.

Fields, all editable and copied: `code`, `data` ({}), and for a batch `before_code` (also called
`upload_code`: it runs before the batch, and can upload its input) and `after_code`. By default,
`retry_limit` is 0 and `cron_schedule` is None. These jobs are kept when they complete.

Anyone who can write to the store could otherwise run any code on a server. So a server runs these
jobs only if its own settings say `allow_on_demand = true`. `perform_now()` always works: the code
runs in the calling process.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rocketjob import Job, after, before, field, hookimpl, only_for, validate
from rocketjob.application import current
from rocketjob.base.errors import RocketJobError
from rocketjob.base.settings import Setting, boolean
from rocketjob.jobs.reasons import Reason
from rocketjob_plugins.batch import Batch, Statistics
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.retry import Retry

if TYPE_CHECKING:
    from rocketjob.base.config import Config

ALLOWED: Setting[bool] = Setting(
    "allow_on_demand", False, boolean, "whether this server runs on-demand code"
)
NAMES = ("self", "job", "data", "row", "logger")
OFF = (
    "on-demand code runs only on servers whose own settings say allow_on_demand = true; "
    "perform_now() runs it here"
)


class CodeError(RocketJobError, ValueError):
    """The code cannot be compiled."""


def compile_body(source: str, name: str) -> Callable[..., Any]:
    """Return a function with the parameters `NAMES` and the source as its body.

    Args:
        name: takes the place of the file name in messages and tracebacks.

    Raises:
        CodeError: the source cannot be compiled; the message names the line.
    """
    try:
        tree = ast.parse(source, name)
        template = ast.parse(f"def body({', '.join(NAMES)}): pass", name)
        function = template.body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = tree.body or function.body
        code = compile(template, name, "exec")
    except SyntaxError as error:
        raise CodeError(f"line {error.lineno or '?'}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CodeError(str(error) or "it is nested too deeply") from None
    scope: dict[str, Any] = {"__builtins__": builtins, "__name__": "rocketjob_on_demand"}
    exec(code, scope)  # only defines the function
    return scope["body"]  # type: ignore[no-any-return]


class OnDemand(Job, abstract=True):
    """What both kinds of on-demand job have in common."""

    code: str = field(
        user_editable=True,
        copy_on_restart=True,
        code=True,
        description="the body of perform, in Python",
    )
    data: dict[str, Any] = field(
        factory=dict, user_editable=True, copy_on_restart=True, description="for the code"
    )

    code_fields: ClassVar[tuple[str, ...]] = ("code",)

    @classmethod
    def runnable_on(cls, config: Config) -> bool:
        return ALLOWED.of(config) and super().runnable_on(config)

    @functools.cached_property
    def compiled_code(self) -> dict[str, tuple[str, Any]]:
        """The most recently compiled code of each field, with its source."""
        return {}

    def run_code(self, name: str, row: Any = None) -> Any:
        """Run the code of a field; return what it returned."""
        source = getattr(self, name)
        compiled = self.compiled_code
        if name not in compiled or compiled[name][0] != source:
            compiled[name] = source, compile_body(source, f"<{type(self).__name__}.{name}>")
        return compiled[name][1](self, self, self.data, row, self.logger)

    @validate
    def _code_compiles(self) -> None:
        for name in self.code_fields:
            source = getattr(self, name)
            if not isinstance(source, str):
                continue  # reported by the check of the field's type
            if not source.strip():
                self.errors.add(name, "is required: it is empty")
                continue
            try:
                compile_body(source, name)
            except CodeError as error:
                self.errors.add(name, f"Failed to parse {name}: {error}")

    @after("create")
    def _say_if_off(self) -> None:
        if not ALLOWED.of(current().config):
            self.logger.warning(f"allow_on_demand is off here: {OFF}")


class OnDemandJob(Cron, Retry, OnDemand, Job):
    """Runs the code that it holds. See the module."""

    description = "On Demand Job"
    destroy_on_complete = False
    cron_singleton = False
    retry_limit = 0

    def perform(self) -> Any:
        return self.run_code("code")


class OnDemandBatchJob(Cron, Retry, Statistics, Batch, OnDemand, Job):
    """Runs the code that it holds for each record. See the module."""

    priority = 90
    description = "On Demand Batch Job"
    destroy_on_complete = False
    cron_singleton = False
    retry_limit = 0

    before_code: str | None = field(
        default=None,
        user_editable=True,
        copy_on_restart=True,
        code=True,
        description="before the batch",
    )
    after_code: str | None = field(
        default=None,
        user_editable=True,
        copy_on_restart=True,
        code=True,
        description="after the batch",
    )
    code_fields = ("code", "before_code", "after_code")

    def __init__(self, **values: Any) -> None:
        super().__init__(**_without_alias(values))

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Any:
        return super().from_properties(_without_alias(dict(properties)))

    @property
    def upload_code(self) -> str | None:
        """Another name of `before_code`."""
        return self.before_code

    @upload_code.setter
    def upload_code(self, code: str | None) -> None:
        self.before_code = code

    def perform(self, row: Any) -> Any:
        return self.run_code("code", row)

    @before("batch", when=lambda job: job.before_code is not None)
    def _run_before_code(self) -> None:
        self.run_code("before_code")

    @after("batch", when=lambda job: job.after_code is not None)
    def _run_after_code(self) -> None:
        self.run_code("after_code")


def _without_alias(values: dict[str, Any]) -> dict[str, Any]:
    if "upload_code" not in values:
        return values
    if "before_code" in values:
        raise TypeError("give before_code or upload_code, not both: they are the same")
    return {"before_code" if name == "upload_code" else name: v for name, v in values.items()}


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [ALLOWED]


@hookimpl
@only_for(OnDemand)
def explain(job: OnDemand) -> list[Reason]:
    if job.runnable_on(current().config):
        return []
    return [Reason("allow_on_demand", OFF)]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [OnDemandJob, OnDemandBatchJob]
