"""Tables hold what their files hold."""

from pathlib import Path

from comics_genai import world
from comics_genai.documents import tables
from comics_genai.documents.sources import Sources

SOURCES = Sources(Path(__file__).parents[2])


def test_every_attribute_and_every_pose_factor_has_its_line():
    rows = tables.factors(SOURCES)
    assert [row["attribute"] for row in rows] == [a.name.replace("_", " ") for a in world.ATTRIBUTES]
    assert rows[0]["counts as right"] == "within 10 (CIEDE2000)" and rows[1]["is"] == "one of 7"
    assert [row["factor"] for row in tables.poses(SOURCES)] == [n.replace("_", " ") for n in world.POSE_FACTORS]


def test_the_readers_table_stands_in_two_columns_and_loses_none():
    rows = tables.reader(SOURCES)
    names = [row[""] for row in rows] + [row[" "] for row in rows if row[" "]]
    factors = [a.name for a in world.ATTRIBUTES] + [*world.POSE_FACTORS]
    assert sorted(names) == sorted(name.replace("_", " ") for name in factors)


def test_a_plan_that_does_not_fit_says_what_it_would_need():
    rows = {row[""]: row for row in tables.plans(SOURCES)}
    assert rows["sdxl, dreambooth"]["T4"].startswith("no: ") and "min" in rows["sdxl, lora"]["T4"]
