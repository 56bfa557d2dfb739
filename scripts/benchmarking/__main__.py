"""``python -m benchmarking``; worker processes import this file, so it does nothing else."""

if __name__ == "__main__":
    from benchmarking.command import main

    main()
