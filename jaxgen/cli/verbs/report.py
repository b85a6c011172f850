"""`jaxgen report`: one page with everything that a run folder holds."""

from pathlib import Path

from jaxgen.cli.verbs.output import Made, RunFolder, Target, deliver


def report(run: RunFolder, *, out: Path | None = None) -> int:
    """Write report.html: curves, pictures, numbers, environment, how to repeat it; one file.

    Args:
      run: the run folder, wherever it is.
      out: FILE.html. Default: report.html in the run folder.
    """
    from jaxgen.figures.report import contents, page
    from jaxgen.files import write_file
    from jaxgen.runs.loaded import locate

    target = Target(out, "report.html", (".html",))
    folder, _ = locate(run)
    found = contents(folder)
    html = page(found).encode()
    words = [f"{found['run']}: {found['headline']}"]
    words += [f"left out: {line}" for line in found["damaged"]]
    made = Made("\n".join(words), {".html": lambda path: write_file(path, html)})
    return deliver(made, target.path(folder))
