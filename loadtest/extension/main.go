// k6 with the module `k6/x/sse`: thousands of verified event streams per virtual user.
package main

import (
	"go.k6.io/k6/cmd"

	_ "sse-cluster/loadtest/extension/sse"
)

func main() {
	cmd.Execute()
}
