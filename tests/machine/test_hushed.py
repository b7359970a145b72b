"""With --quiet the result and what is wrong are printed, and nothing else."""

from tljax.machine.hushed import hushed


def test_lines_that_say_what_is_wrong_come_through(capsys):
    wrong = ("WARNING: wrong colours", "frozen, seed -1: collapsed: training loss 0.7 ...")
    with hushed(True):
        print("folder: 3 classes")
        print(wrong[0], end="\n\n")
        print("a part of", "a line", end=" ")
        print("and its end", flush=True)
        print(wrong[1])
    print("result")
    assert capsys.readouterr().out.splitlines() == [*wrong, "result"]
    with hushed(False):
        print("folder: 3 classes")
    assert capsys.readouterr().out == "folder: 3 classes\n"
