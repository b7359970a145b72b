from tljax.audit.forecast import Outlook
from tljax.report.tables.plan import plan_table

NAN = float("nan")


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_table_tells_what_trains_how_fast_and_at_what_cost():
    head = Outlook(
        "head",
        {"head/.*": None},
        5,
        1234567,
        3,
        150,
        4800,
        2.5e9,
        3.2e7,
        1.25,
        28_000_000,
        "replicated",
    )
    rates = {"base/block5_.*": 0.01, ".*": 0.005, "base/patches/.*": 0.0025}
    whole = Outlook(
        "whole", rates, 1234567, 1234567, 8, 400, 12800, NAN, NAN, NAN, 6_220_000_000, "streamed"
    )
    solved = Outlook(
        "linear", {"head/.*": None}, 5, 1234567, 1, 0, 0, NAN, NAN, NAN, 28_000_000, "replicated"
    )
    lines = plan_table([head, whole, solved]).splitlines()
    assert cells(lines[0])[-3:] == ["images", "FLOPs/step", "reads"]
    assert cells(lines[2]) == [
        "head", "head", "5 of 1.23 M", "find", "3", "4,800", "2.5 G", "28 MB",
    ]  # fmt: skip
    assert cells(lines[3]) == [
        "whole", "block5 ... patches", "1.23 M of 1.23 M", "1e-2 ... 2.5e-3", "8", "12,800",
        "unknown", "6,220 MB, from the host",
    ]  # fmt: skip
    assert cells(lines[4]) == [
        "linear", "head", "5 of 1.23 M", "solved", "-", "-", "-", "28 MB",
    ]  # fmt: skip
