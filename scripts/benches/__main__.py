"""``python -m benches``; worker processes import this file, so it does nothing else."""

if __name__ == "__main__":
    import sys

    import runner

    sys.exit(runner.main("benches", usual="conversion"))
