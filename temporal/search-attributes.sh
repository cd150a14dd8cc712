#!/bin/sh
# Registers the search attributes by which the Temporal Web UI finds environments and runs, and keeps closed runs for
# 90 days. May be run again at any time. Reads TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE; needs the Temporal CLI.
set -eu

temporal=${WINDLASS_TEMPORAL:-temporal}
namespace=${TEMPORAL_NAMESPACE:-default}
attributes='WindlassEnvironment WindlassProject WindlassKind WindlassStatus'

tries=0
until "$temporal" operator namespace describe --namespace "$namespace" >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 60 ]; then
    echo "no namespace $namespace at ${TEMPORAL_ADDRESS:-the default address} after two minutes; the last answer:" >&2
    "$temporal" operator namespace describe --namespace "$namespace" >&2 || true
    exit 1
  fi
  sleep 2
done

known=$("$temporal" operator search-attribute list --namespace "$namespace")
for attribute in $attributes; do
  case $known in
    *"$attribute"*) echo "$attribute is there" ;;
    *)
      "$temporal" operator search-attribute create --namespace "$namespace" --name "$attribute" --type Keyword >/dev/null
      echo "$attribute created"
      ;;
  esac
done

"$temporal" operator namespace update --namespace "$namespace" --retention 2160h >/dev/null
echo "closed runs of $namespace are kept for 90 days"
