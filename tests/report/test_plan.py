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
    rates = {"c": 0.01, "b": 0.005, "a": 0.0025}
    whole = Outlook(
        "whole", rates, 1234567, 1234567, 8, 400, 12800, NAN, NAN, NAN, 6_220_000_000, "streamed"
    )
    solved = Outlook(
        "linear", {"head/.*": None}, 5, 1234567, 1, 0, 0, NAN, NAN, NAN, 28_000_000, "replicated"
    )
    lines = plan_table([head, whole, solved]).splitlines()
    assert cells(lines[0])[-3:] == ["temporary", "compiled in", "reads"]
    assert cells(lines[2]) == [
        "head", "head/.*", "5 of 1,234,567", "find", "3", "150", "4,800", "2.5 G", "32 MB",
        "1.25 s", "28 MB on each device",
    ]  # fmt: skip
    assert cells(lines[3]) == [
        "whole", "c ... a", "1,234,567 of 1,234,567", "1.0e-02 ... 2.5e-03", "8", "400", "12,800",
        "unknown", "unknown", "unknown", "6.22e+03 MB from the host",
    ]  # fmt: skip
    assert cells(lines[4]) == [
        "linear", "head/.*", "5 of 1,234,567", "solved", "-", "-", "-", "-", "-", "-",
        "28 MB on each device",
    ]  # fmt: skip
