# A release that starts and never becomes ready.
ARG IMAGE
FROM $IMAGE
ENTRYPOINT ["python", "-c", "import signal; signal.sigwait({signal.SIGTERM})"]
