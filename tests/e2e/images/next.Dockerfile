# The next release, as far as a rollout can tell.
ARG IMAGE
FROM $IMAGE
LABEL org.opencontainers.image.version="next"
