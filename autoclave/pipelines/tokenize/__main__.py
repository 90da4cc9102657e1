"""`python -m autoclave.pipelines.tokenize --recipe R`: the tokenize stage alone.

The stage is in stage.py. This folder has no __init__.py, so that it never stands in for the standard library's
`tokenize` when a script is run from inside the package.
"""

from autoclave.pipelines.running.job import main

if __name__ == "__main__":
    main("tokenize")
