"""`python -m bench [NAMES…] [--size small|full] [--rounds N]`: measure, print, and write to `bench/results/`."""

import argparse
import json

from bench import add, directory, drain, graphs, held, limits, look, measure, on_redis, peers, postgres, start

BENCHES = {
    "postgres": postgres.run,
    "held": held.run,
    "drain": drain.run,
    "add": add.run,
    "start": start.run,
    "directory": directory.run,
    "graphs": graphs.run,
    "limits": limits.run,
    "look": look.run,
    "redis": on_redis.run,
}


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.3g}") if not abs(value) >= 100 else round(value)  # also what is no number
    return value


def main() -> None:
    """Run the named benches, or all."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], default=[])
    parser.add_argument("--size", choices=["small", "full"], default="full")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peers.prepare()
    for name in options.names or BENCHES:
        measured = _rounded(BENCHES[name](options.rounds, options.size == "small"))
        assert isinstance(measured, dict)
        print(f"{name}\n{json.dumps(measured, indent=1)}", flush=True)
        if options.size == "full":
            measure.write(name, measured)


if __name__ == "__main__":
    main()
