from tljax.report.tables.scaling import Scale, scaling_table


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_ring_sends_nearly_twice_what_is_reduced():
    alone = Scale("frozen", 1, 32, 0, 0, 0, 5e9)
    many = Scale("frozen", 4, 128, 1000, 1000, 0, 6e6)
    assert (alone.ring, many.ring) == (0, 1500)
    lines = scaling_table(
        [alone, many, Scale("s", 4, 1200, 1000, 900, 500, 1e6)], images=100
    ).splitlines()
    assert cells(lines[2]) == ["frozen", "1", "32", "0.32", "0", "0", "0"]
    assert cells(lines[3]) == ["frozen", "4", "128", "1.28", "1,000", "1,000", "1,500", "4,000"]
    assert cells(lines[4]) == [
        "s",
        "4",
        "1,200",
        "12.00",
        "900",
        "1,000 and 500 of others",
        "2,000",
        "500",
    ]
