"""`python -m autoclave.pipelines.dedup --recipe R`: the dedup stage alone."""

from autoclave.pipelines.running.job import main

if __name__ == "__main__":
    main("dedup")
