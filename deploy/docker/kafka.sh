#!/bin/bash
# Starts the broker of the official image from a file of settings and a secret, bypassing the image's own start,
# which formats without a SCRAM user and would want the password in the environment.
set -euo pipefail
umask 077

password=$(cat /run/lethe/kafka_password)
cluster=$(cat /run/lethe/cluster_id)
settings=/tmp/server.properties
{
    cat /lethe/server.properties
    echo "listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule" \
        "required username=\"admin\" password=\"$password\";"
    echo "listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule" \
        "required username=\"admin\" password=\"$password\" user_admin=\"$password\";"
} > "$settings"

# java reads its arguments from a file, so that no process list shows the password.
cat > /tmp/format.args <<ARGUMENTS
-cp "/opt/kafka/libs/*" kafka.tools.StorageTool format -t $cluster -c $settings --ignore-formatted
--add-scram "SCRAM-SHA-512=[name=admin,password=$password]"
ARGUMENTS
java @/tmp/format.args
rm /tmp/format.args

exec /opt/kafka/bin/kafka-server-start.sh "$settings"
