# A release that starts and never becomes ready.
ARG IMAGE
FROM $IMAGE
# Blocked before it is waited for: the first process of a container has no other way to hear of it.
ENTRYPOINT ["python", "-c", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); signal.sigwait({signal.SIGTERM})"]
