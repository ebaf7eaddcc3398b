"""What is not Python is in the wheel too: pages, styles, scripts, icons, licences."""

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from rocketjob_contrib.mission_control.assets import Assets

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "contrib" / "rocketjob_contrib" / "mission_control"


def test_W21_the_wheel_has_every_page_style_script_icon_and_licence():
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    wanted = {
        path.relative_to(ROOT / "contrib").as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(path.endswith(".html") for path in wanted) and not wanted - packed
    static = "rocketjob_contrib/mission_control/static"
    assert {f"{static}/{name}" for name in Assets().marks} <= packed
    assert {f"{static}/LICENSES/{name}.txt" for name in ("htmx", "lucide", "uplot")} <= packed
