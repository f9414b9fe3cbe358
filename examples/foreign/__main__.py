"""A fleet among the resources of another program; `pip install` hermes-fleet into its environment first."""

import pulumi

from components import Fleet

config = pulumi.Config()

fleet = Fleet(
    pulumi.get_stack(),
    registry=config.require("registry"),
    image=config.require("image"),
    hermes_line="0.19",
    llm={"provider": "openrouter", "model": config.require("model")},
    llm_api_key=config.require("llmApiKey"),
    master_key=config.require("masterKey"),
    plugins_dir=config.require("pluginsDir"),
)
pulumi.export("containers", {name: runtime.container.name for name, runtime in fleet.runtimes.items()})
