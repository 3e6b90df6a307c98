"""What programs that watch are told: metrics for Prometheus, traces for OpenTelemetry, log lines as JSON."""
