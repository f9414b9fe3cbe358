"""Start the plugin: the Pulumi engine runs this folder."""  # noqa: INP001 - a folder to run, not to import

from offline_docker.server import main

main()
