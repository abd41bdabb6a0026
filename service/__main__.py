"""`palimpsest`, or `python -m service`: the command line."""

from __future__ import annotations

from service.processes import module_path


def main() -> int:
    """Run the command line, and return its exit code."""
    # Before anything else is imported: the current folder may hold a file of any name.
    module_path.remove_current_folder()
    from service.output import streams

    def command() -> None:
        from service.cli import main as palimpsest

        palimpsest(prog_name="palimpsest")

    return streams.run(command)


if __name__ == "__main__":
    raise SystemExit(main())
