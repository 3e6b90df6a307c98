"""The processes that run jobs: a supervisor, its children, and a runner without either."""
