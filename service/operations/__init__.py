"""What operators and their tools see of the service: health, probes, metrics, logs, spans, reflection."""
