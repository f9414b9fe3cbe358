#!/bin/sh
exec wget -qO- http://127.0.0.1:8642/health
