"""Start the plugin: the Pulumi engine runs this folder."""

from offline_docker.server import main

main()
