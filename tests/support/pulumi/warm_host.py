"""Runs programs for the engine as Pulumi's language host does, but in forks of a process that has the modules loaded.

Starting Python, importing, and listing packages take half of an `up` without changes. Each program still has a process
of its own and runs in the script of Pulumi's host.
"""

import functools
import gc
import json
import multiprocessing
import os
import platform
import runpy
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

# The imports of the project's program, and this module, which has the entry point of a fork.
MODULES = ["components", "fleet.rollout.prepare", __name__]
# The script's exit code where it has printed the program's traceback.
SHOWN = 32


class WarmHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The language host of one CLI command. `script` is Pulumi's, `env` the program's environment."""

    def __init__(self, script: str, env: Mapping[str, str]) -> None:
        """Take the script and the environment of every program."""
        self.script, self.env = script, env
        self.forks: list[ForkServerProcess] = []

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802 - gRPC's name
        """Return the version of Python, which the engine records."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802 - gRPC's name
        """Return no plugin: the SDK names the one it needs with each resource."""
        return language_pb2.GetRequiredPackagesResponse()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802 - gRPC's name
        """Run the program to its end."""
        options = {
            "monitor": request.monitor_address,
            "engine": request.args[0],
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
            "dry_run": str(request.dryRun).lower(),
            "parallel": str(request.parallel),
            "pwd": request.pwd,
        }
        words = [self.script, *(f"--{name}={value}" for name, value in options.items()), request.info.entry_point]
        config = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        fork = _warm().Process(target=_run_script, args=(words, {**self.env, **config}))
        self.forks.append(fork)
        fork.start()
        fork.join()
        if fork.exitcode == SHOWN:
            return language_pb2.RunResponse(bail=True)
        failed = f"program exited with non-zero exit code: {fork.exitcode}" if fork.exitcode else ""
        return language_pb2.RunResponse(error=failed)

    def kill(self) -> None:
        """Kill programs that outlive their command, as the engine does: they wait for a response for ever."""
        for fork in self.forks:
            if fork.is_alive():
                fork.kill()


@contextmanager
def serving(script: str, env: Mapping[str, str]) -> Iterator[str]:
    """Serve one command; yield the address for its `--client`."""
    host, server = WarmHost(script, env), grpc.server(ThreadPoolExecutor())
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        host.kill()
        server.stop(grace=None).wait()


@functools.cache
def _warm() -> ForkServerContext:
    """Return the warm process, which starts with its first fork and ends with this one."""
    warm = multiprocessing.get_context("forkserver")
    warm.set_forkserver_preload(MODULES)
    return warm


def _run_script(words: list[str], env: dict[str, str]) -> None:
    gc.freeze()  # keep the collector from touching, and so copying, the pages of imported modules
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
