# Sourced: adds loopback addresses to no_proxy. Pulumi's processes talk over gRPC, whose Python client sends even 127.0.0.1
# through the proxy of the environment.
# shellcheck shell=sh
: "${no_proxy:=${NO_PROXY-}}" "${NO_PROXY:=$no_proxy}"
for fleet_host in 127.0.0.1 localhost; do
  case ",$no_proxy," in *",$fleet_host,"*) ;; *) no_proxy="${no_proxy:+$no_proxy,}$fleet_host" ;; esac
  case ",$NO_PROXY," in *",$fleet_host,"*) ;; *) NO_PROXY="${NO_PROXY:+$NO_PROXY,}$fleet_host" ;; esac
done
unset fleet_host
export no_proxy NO_PROXY
