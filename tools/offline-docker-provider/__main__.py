"""Runs the plugin: the Pulumi engine starts this folder, reads its port from stdout, and ends it."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from offline_docker.daemon import CALL_TIMEOUT
from offline_docker.server import Failures, Provider
from pulumi.runtime.proto import provider_pb2_grpc

engine, unlimited = os.getppid(), [("grpc.max_receive_message_length", -1)]
server = grpc.server(ThreadPoolExecutor(64), interceptors=[Failures()], options=unlimited)
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
sys.stdout.flush()
server.start()
while os.getppid() == engine:
    server.wait_for_termination(timeout=1)
server.stop(grace=CALL_TIMEOUT).wait()
