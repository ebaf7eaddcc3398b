"""The tutorial is followed to the letter, and what its readers mistype is answered as the page
Troubleshooting says."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "try_tutorial.py"
TROUBLE = ROOT / "docs" / "troubleshooting.md"


def test_the_tutorial_can_be_followed_to_the_letter():
    done = subprocess.run([sys.executable, str(SCRIPT), "--lend"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_mistyped_is_answered_as_the_page_says(tmp_path):
    # A process of its own: the classes of the tutorial would be there for other tests.
    done = subprocess.run(
        [sys.executable, __file__], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 10  # commands were tried


def try_the_mistakes():
    """Type what the page shows, after the tutorial, and compare the answers."""
    sys.path[:0] = [str(SCRIPT.parent), os.getcwd()]
    import try_tutorial as script
    from click.testing import CliRunner

    from rocketjob.cli import make_cli
    from rocketjob.testing import sandbox

    def files(page):
        for block in script.blocks(page.read_text(encoding="utf-8")):
            if names := script.FILE.findall(block.before):
                Path(names[-1]).parent.mkdir(exist_ok=True)
                Path(names[-1]).write_text(block.text, encoding="utf-8")

    files(script.PAGE)
    import nightly
    import shop

    page, tried = script.Shown(Path.cwd()), 0
    with sandbox() as rocketjob:
        job = shop.ImportOrders()
        job.upload("orders.csv")
        job.save()
        rocketjob.work_off()
        nightly.NightlyImport.create()
        page.ids["6b0b8fedd44dc3a7f6d3e08f"] = str(job.id)  # as both pages show it
        page.ids["6b0b8fedd44dc3a7f6d3e000"] = "6b0b8fedd44dc3a7f6d3e000"  # none has it
        for block in script.blocks(TROUBLE.read_text(encoding="utf-8")):
            if block.language == "text":
                Path("bad.csv").write_text(block.text, encoding="utf-8")
            for command, shown in script.typed(block.text) if block.language == "console" else ():
                if not shown.strip():
                    continue
                words = shlex.split(page.with_ids(command))[1:]
                said = CliRunner().invoke(make_cli(), words)
                assert said.exit_code, command
                assert page.find(shown.rstrip("\n") + "\n", said.output, whole=True), (
                    f"{command}\n{shown}\nbut it said\n{said.output}"
                )
                tried += 1
    print(tried)


if __name__ == "__main__":
    try_the_mistakes()
