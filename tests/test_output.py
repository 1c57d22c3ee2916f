"""What frameworks print is caught, and nothing of it reaches the terminal."""

import subprocess
import sys
import textwrap

from regtui.core.text import LONGEST_TEXT


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
