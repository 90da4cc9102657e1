"""`python -m autoclave.pipelines.selfclean --recipe R`: the selfclean stage alone."""

from autoclave.pipelines.running.job import main

if __name__ == "__main__":
    main("selfclean")
