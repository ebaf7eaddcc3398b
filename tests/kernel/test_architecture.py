"""What a reader may rely on: imports go one way, and whoever imports late says why.

The graph is that of all modules of the kernel, the plugins and contrib. Imports within functions
and those for type checkers only count like any other. The order of the kernel's packages is a
contract of import-linter, in pyproject.toml, which is checked here too.
"""

import ast
import importlib.util
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("rocketjob", "rocketjob_plugins", "rocketjob_contrib")

EXCUSE = "Imports within functions: "  # of a whole module, in its docstring


def sources():
    """Return the file of each module, by the module's name."""
    found = {}
    for package in PACKAGES:
        root = Path(importlib.util.find_spec(package).submodule_search_locations[0])
        for file in root.rglob("*.py"):
            parts = [package, *file.relative_to(root).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


@pytest.fixture(scope="module")
def modules():
    return {
        name: ast.parse(file.read_text(encoding="utf-8"), str(file))
        for name, file in sources().items()
    }


def names_in(statement, module, packages):
    """Return what an import statement imports: `a.b` and `a.b.c` for `from a.b import c`."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    base = statement.module or ""
    if statement.level:
        keep = statement.level - (module in packages)
        parents = module.split(".")
        parents = parents[: len(parents) - keep] if keep else parents
        base = ".".join([*parents, *filter(None, [base])])
    return [f"{base}.{alias.name}" for alias in statement.names]


def graph_of(modules):
    """Return which modules each module imports; what a package re-exports is the package's."""
    packages = {name for name in modules if any(o.startswith(f"{name}.") for o in modules)}
    graph = {}
    for module, tree in modules.items():
        named = [
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in names_in(node, module, packages)
        ]
        found = {name if name in modules else name.rpartition(".")[0] for name in named}
        found |= {package for name in found for package in run_first(name, module)}
        graph[module] = sorted((found & modules.keys()) - {module})
    return graph


def run_first(name, module):
    """Return the packages that are run before a module is imported from outside of them."""
    parents = [name[:index] for index, letter in enumerate(name) if letter == "."]
    return [package for package in parents if not f"{module}.".startswith(f"{package}.")]


def circles(graph):
    """Return the groups of modules in which each imports, directly or not, all others."""
    reached = {name: reach(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
        if name in reached[name]
    }
    return [set(group) for group in groups]


def reach(graph, start):
    found, waiting = set(), [start]
    while waiting:
        for name in graph[waiting.pop()]:
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def test_the_contracts_of_import_linter_are_kept():
    command = [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_modules_import_each_other_in_a_circle(modules):
    found = circles(graph_of(modules))
    assert not found, "\n".join(" <-> ".join(sorted(circle)) for circle in found)


def test_a_package_that_imports_whoever_imports_from_it_makes_a_circle():
    texts = {"a": "import p.b", "p": "from p import c", "p.b": "", "p.c": "import a"}
    modules = {name: ast.parse(text) for name, text in texts.items()}
    assert circles(graph_of(modules)) == [{"a", "p", "p.c"}]


def test_circles_are_found_through_late_and_type_only_and_relative_imports():
    texts = {
        "p": "",
        "p.a": "def f():\n    from p import b\n",
        "p.b": "if TYPE_CHECKING:\n    from p.c import C\n",
        "p.c": "from .a import f\n",
        "p.d": "from p.a import f\n",
    }
    modules = {name: ast.parse(text) for name, text in texts.items()}
    assert circles(graph_of(modules)) == [{"p.a", "p.b", "p.c"}]


def late_imports(tree):
    """Return the lines of the import statements within functions."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = (n for function in functions for n in ast.walk(function))
    return {n.lineno for n in found if isinstance(n, ast.Import | ast.ImportFrom)}


def is_explained(lines, number):
    """Return whether a comment is at an import, at one right above it, or above those."""
    while True:
        if "#" in lines[number - 1]:
            return True
        above = lines[number - 2].strip()
        if not above.startswith(("from ", "import ")):
            return above.startswith("#") or (not above and "#" in lines[number - 3])
        number -= 1


def test_a_late_import_says_why_it_is_late(modules):
    wrong = {}
    for name, file in sources().items():
        if EXCUSE in (ast.get_docstring(modules[name]) or ""):
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        numbers = [n for n in late_imports(modules[name]) if not is_explained(lines, n)]
        if numbers:
            wrong[name] = sorted(numbers)
    assert not wrong, "say `# for start-up time`, or which optional dependency it is"


def test_only_stores_ask_whether_there_are_transactions():
    """Everybody else hands the store a unit of work; see `rocketjob.store.port`."""
    folders = ("rocketjob", "plugins/rocketjob_plugins", "contrib/rocketjob_contrib")
    stores = ("store", "store_sqlite", "store_mongodb", "store_contract")
    asking = [
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "capabilities.transactions" in path.read_text(encoding="utf-8")
    ]
    assert [str(path) for path in asking if path.parent.name not in stores] == []


# --- names of classes in the tests -----------------------------------------------------------

NEVER_IMPORTED = ("typing",)  # folders of tests/ that only type checkers read


def called(node):
    """Return the last name of a base: `Batch` of `Batch`, `batch.Batch` and `Batch[int]`."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return getattr(node, "id", None) or getattr(node, "attr", "")


def clashes(trees):
    """Say which stored classes of tests cannot be in one process; see `model/registry.py`.

    Two on the top level of modules, or one there and one within a function elsewhere. A class that
    is made by `type("Name", ...)` is taken for one on the top level, as its `__qualname__` says.
    """
    found = [
        (module, name, bases, is_top)
        for module, tree in trees.items()
        for node in ast.walk(tree)
        for name, bases, is_top in class_made_by(node, tree)
    ]
    stored, before = {"Document"}, 0
    while len(stored) > before:
        before = len(stored)
        stored |= {name for _, name, bases, _ in found if stored & bases}
    found = [each for each in found if stored & each[2]]
    homes = {}
    for module, name, _, is_top in found:
        if is_top:
            homes.setdefault(name, set()).add(module)
    return sorted(
        {
            f"{name} in {module} and {other}"
            for module, name, _, _ in found
            for other in homes.get(name, set()) - {module}
        }
    )


def class_made_by(node, tree):
    """Yield name, names of the bases, and whether it is on the top level, of a class made here."""
    if isinstance(node, ast.ClassDef):
        yield node.name, set(map(called, node.bases)), node in tree.body
    elif isinstance(node, ast.Call) and called(node.func) == "type" and len(node.args) == 3:
        name, bases, body = node.args
        if isinstance(name, ast.Constant) and "__qualname__" not in ast.dump(body):
            # Where the bases are worked out there, it is taken for a job.
            known = isinstance(bases, ast.Tuple) and not any(
                isinstance(base, ast.Starred) for base in bases.elts
            )
            yield name.value, set(map(called, bases.elts)) if known else {"Job"}, True


def test_no_two_modules_of_tests_have_stored_classes_of_one_name(modules):
    trees = {
        str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8"))
        for file in (ROOT / "tests").rglob("*.py")
        if file.relative_to(ROOT / "tests").parts[0] not in NEVER_IMPORTED
    }
    assert clashes(modules | trees) == [], "rename one: they may be run in one process"


def test_classes_of_one_name_are_found_whatever_they_are_derived_from():
    texts = {
        "a": "class Mixin(Job, abstract=True): ...\nclass OneJob(Mixin): ...",
        "b": "def test():\n    class OneJob(x.Batch[int], Job): ...",
        "c": "class TwoJob(Job): ...\ndef test():\n    class TwoJob(Job): ...",
        "d": "def test():\n    class ThreeJob(Job): ...\nclass Helper: ...",
        "e": "def test():\n    class ThreeJob(Job): ...\nclass Helper: ...",
        "f": "class Job(Document): ...\nclass FourJob(Job): ...",
        "g": "class FourJob(Job): ...",
        "h": "def test():\n    type('FiveJob', (FourJob,), {})",
        "i": "def test():\n    type('FiveJob', bases, {})\n    type('Helper', (), {})",
    }
    trees = {name: ast.parse(text) for name, text in texts.items()}
    assert clashes(trees) == [
        "FiveJob in h and i",
        "FiveJob in i and h",
        "FourJob in f and g",
        "FourJob in g and f",
        "OneJob in b and a",
    ]


# What they give differs from process to process, and so would the names of the tests.
CHANCE = {"ObjectId", "uuid1", "uuid4", "now", "utcnow", "today", "time", "time_ns", "urandom"} | {
    *("token_hex", "token_bytes", "random", "randbytes", "getpid", "mkdtemp", "mkstemp")
}


def named_by_chance(tree):
    """Yield the lines with parameters of tests that each process makes for itself.

    Two processes that collect different tests run none: see pytest-xdist.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node.func) in {"parametrize", "param"}:
            for inner in outside_functions(node):
                if not isinstance(inner, ast.Call) or called(inner.func) not in CHANCE:
                    continue
                if called(inner.func) != "ObjectId" or not inner.args:
                    yield inner.lineno


def outside_functions(node):
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from outside_functions(child)


def test_no_test_is_named_by_chance_or_by_the_time():
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for line in named_by_chance(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == [], "write the value down"
    tree = ast.parse("@mark.parametrize('x', [str(ObjectId()), lambda: now(), 5])\ndef test(): ...")
    assert list(named_by_chance(tree)) == [1]
