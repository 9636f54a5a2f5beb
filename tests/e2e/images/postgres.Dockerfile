# PostgreSQL of the base's own distribution, with the part of the public image's contract that the manifests use.
ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
    && usermod --uid 999 postgres && groupmod --gid 999 postgres && ln -s /usr/lib/postgresql/* /opt/postgresql
ENV PATH=/opt/postgresql/bin:/usr/bin:/bin
COPY postgres-entrypoint /
USER 999:999
ENTRYPOINT ["/postgres-entrypoint"]
