from tljax.report.plan import plan_table
from tljax.train.outlook import Outlook


def test_the_table_tells_what_trains_how_fast_and_at_what_cost():
    head = Outlook("head", {"head/.*": None}, 5, 1234567, 3, 150, 4800, 2.5e9)
    whole = Outlook("whole", {"c": 0.01, "b": 0.005, "a": 0.0025}, 1234567, 1234567, 8, 400, 12800, float("nan"))
    lines = plan_table([head, whole]).splitlines()
    assert lines[0].split("  ")[0] == "stage"
    assert [cell.strip() for cell in lines[2].split("  ") if cell.strip()] == [
        "head", "head/.*", "5 of 1,234,567", "find", "3", "150", "4,800", "2.5 G",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[3].split("  ") if cell.strip()] == [
        "whole", "c ... a", "1,234,567 of 1,234,567", "1.0e-02 ... 2.5e-03", "8", "400", "12,800", "unknown",
    ]  # fmt: skip
