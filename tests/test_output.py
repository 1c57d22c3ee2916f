"""What frameworks print is caught, and nothing of it reaches the terminal."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from regtui.core.text import LONGEST_TEXT
from regtui.output import OutputLost, losable


def run_script(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True, timeout=60, check=False
    )


def test_lines_written_to_descriptors_by_c_and_python_are_handed_on_and_kept_off_the_terminal() -> None:
    done = run_script(
        """
        import os, sys
        from regtui.output import captured_output
        lines = []
        with captured_output(lines.append) as terminal:
            os.write(2, b"W0000 from C++\\n")
            os.write(1, b"to stdout\\n")
            print("from Python")
            print("to the terminal", file=terminal.err)
        print(sorted(lines))
        """
    )
    assert done.stderr == "to the terminal\n"
    assert done.stdout == "['W0000 from C++', 'from Python', 'to stdout']\n"


def test_textual_draws_on_the_real_terminal_meanwhile() -> None:
    done = run_script(
        """
        import sys
        from regtui.output import captured_output
        with captured_output(lambda line: None):
            sys.__stderr__.write("drawn")
        """
    )
    assert done.stderr == "drawn"


def test_output_larger_than_any_pipe_does_not_block_a_thread_that_holds_the_interpreter() -> None:
    done = run_script(
        """
        import os
        from regtui.output import captured_output
        lines = []
        with captured_output(lines.append):
            os.write(2, b"x" * 10_000_000 + b"\\nlast\\n")
        print(len(lines[0]), lines[1])
        """
    )
    assert done.stdout == f"{LONGEST_TEXT} last\n"


def test_the_descriptors_are_given_back_also_after_an_exception() -> None:
    done = run_script(
        """
        import os
        from regtui.output import captured_output
        try:
            with captured_output(lambda line: None):
                raise ValueError
        except ValueError:
            os.write(1, b"back")
        """
    )
    assert done.stdout == "back"


def test_a_line_without_end_is_handed_on_when_the_capture_ends() -> None:
    done = run_script(
        """
        import os
        from regtui.output import captured_output
        lines = []
        with captured_output(lines.append):
            os.write(2, b"no line break")
        print(lines)
        """
    )
    assert done.stdout == "['no line break']\n"


def test_what_absl_logs_for_information_is_left_out_and_its_warnings_are_not() -> None:
    done = run_script(
        """
        import os
        from regtui.output import captured_output
        lines = []
        with captured_output(lines.append):
            os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
            for level in b"I", b"W", b"E", b"F":
                os.write(2, level + b"0000 00:00:1795531055.462743     782 port.cc:153] said\\n")
            os.write(2, b"I0000 is what a person calls a row\\n")
        print(*[line[:5] for line in lines], sep=" ")
        """
    )
    assert done.stdout == "W0000 E0000 F0000 I0000\n"


def test_a_framework_whose_output_is_not_taken_goes_on_and_costs_nobody_theirs() -> None:
    done = run_script(
        """
        import os, sys
        from regtui.output import captured_output, losable
        sys.stdout = losable(1, needed=True)
        with captured_output(lambda line: None):
            os.close(1), os.close(2)
            print("lost")
            print("lost", file=sys.stderr)
        print("the result")
        """
    )
    assert (done.stdout, done.stderr) == ("the result\n", "")


def test_a_stream_that_is_needed_says_once_that_it_is_lost_and_one_that_is_not_never_does() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    needed, other = losable(writing, needed=True), losable(writing)
    with pytest.raises(OutputLost, match="Broken pipe") as lost:
        print("a result", file=needed, flush=True)
    assert lost.value.gone
    for stream in (needed, other):
        print("more", file=stream, flush=True)
        stream.close()
    os.close(writing)


def test_a_stream_to_a_file_that_had_no_room_for_a_while_goes_on_in_a_new_line(tmp_path: Path) -> None:
    done = run_script(
        f"""
        import os, resource
        from regtui.output import losable
        path = {str(tmp_path / "output.log")!r}
        stream = losable(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        print("first", file=stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9, hard))
        print("second", file=stream)
        print("third", file=stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print("fourth", file=stream)
        print("fifth", file=stream)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output.log").read_text() == "first\nsec\nfourth\nfifth\n"


def test_a_descriptor_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text = "x" * 1_000_000
    writer = threading.Thread(target=lambda: print(text, file=losable(writing, needed=True), flush=True))
    writer.start()
    with os.fdopen(reading) as source:
        assert source.readline() == text + "\n"
    writer.join()
    os.close(writing)


def test_of_a_progress_bar_the_last_state_is_handed_on_without_its_colours() -> None:
    done = run_script(
        """
        import os
        from regtui.output import captured_output
        lines = []
        with captured_output(lines.append):
            for share in range(101):
                os.write(2, b"\\r\\x1b[32m%3d%%\\x1b[0m|####" % share)
            os.write(2, b"\\r\\n")
            os.write(1, b"\\x1b]52;c;x\\x07\\xe2\\x80\\xaetext\\r\\n")
        print(lines)
        """
    )
    assert done.stdout == repr(["100%|####", r"\u202etext"]) + "\n"
