#!/bin/sh
# Make an authority for one cluster and one certificate for all its members: certificates.sh FOLDER [DAYS]
# What is there already is not made anew: remove it first, with the cluster stopped.
set -eu
folder=${1:?usage: certificates.sh FOLDER [DAYS]}
days=${2:-30}
umask 077
mkdir -p "$folder"
cd "$folder"
if [ -e ca.pem ] || [ -e cert.pem ] || [ -e key.pem ]; then
  echo "$folder has certificates already: remove ca.pem, cert.pem and key.pem there to make new ones" >&2
  exit 1
fi
trap 'rm -f ca-key.pem ca.srl request.pem' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" \
  -subj "/CN=authority of one cluster" -keyout ca-key.pem -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
  -subj "/CN=member of one cluster" -addext "extendedKeyUsage=serverAuth,clientAuth" -keyout key.pem -out request.pem
openssl x509 -req -in request.pem -copy_extensions copy -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days "$days" -out cert.pem
echo "certificates for $days days in $folder: ca.pem, cert.pem, key.pem; the authority's key is gone"
