# An S3 server over a directory.
ARG BASE
FROM $BASE
COPY versitygw /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["versitygw"]
