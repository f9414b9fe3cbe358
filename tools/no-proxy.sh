# Sourced: keeps calls to this machine away from a proxy. gRPC for Python, over which Pulumi's parts talk to each other,
# sends even 127.0.0.1 through the one that the environment names. What stands there already stays.
# shellcheck shell=sh
: "${no_proxy:=${NO_PROXY-}}" "${NO_PROXY:=$no_proxy}"
for fleet_host in 127.0.0.1 localhost; do
  case ",$no_proxy," in *",$fleet_host,"*) ;; *) no_proxy="${no_proxy:+$no_proxy,}$fleet_host" ;; esac
  case ",$NO_PROXY," in *",$fleet_host,"*) ;; *) NO_PROXY="${NO_PROXY:+$NO_PROXY,}$fleet_host" ;; esac
done
unset fleet_host
export no_proxy NO_PROXY
