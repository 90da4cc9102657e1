"""`python -m autoclave.pipelines.train --recipe R`: the train stage alone."""

from autoclave.pipelines.running.job import main

if __name__ == "__main__":
    main("train")
