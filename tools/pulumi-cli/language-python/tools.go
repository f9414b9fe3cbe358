//go:build tools

// Package tools pins Pulumi's Python language host: the last version that is part of the SDK's own module.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
