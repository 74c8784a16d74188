// Calls the program `istioctl` that the runner puts into PATH, and not Istio's library.
package istioctl

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/test/framework/resource"
	"istio.io/istio/pkg/test/scopes"
)

type kubeComponent struct {
	kubeconfig     string
	istioNamespace string
}

// Filenamer is a cluster that has a kubeconfig file.
type Filenamer interface {
	Filename() string
}

func newKube(ctx resource.Context, config Config) (Instance, error) {
	cluster, ok := ctx.Clusters().GetOrDefault(config.Cluster).(Filenamer)
	if !ok {
		return nil, fmt.Errorf("the cluster has no kubeconfig file")
	}
	return &kubeComponent{kubeconfig: cluster.Filename(), istioNamespace: config.IstioNamespace}, nil
}

func (c *kubeComponent) Invoke(args []string) (string, string, error) {
	var words []string
	if !slices.Contains(args, "--kubeconfig") {
		words = append(words, "--kubeconfig", c.kubeconfig)
	}
	if c.istioNamespace != "" && !slices.Contains(args, "--istioNamespace") {
		words = append(words, "--istioNamespace", c.istioNamespace)
	}
	var output, errors bytes.Buffer
	command := exec.Command("istioctl", append(words, args...)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, &output, &errors
	start := time.Now()
	err := command.Run()
	scopes.Framework.Infof("istioctl %s: %v", strings.Join(args, " "), time.Since(start))
	if err != nil {
		// Tests look for the command's own words in its error.
		err = fmt.Errorf("%s (%w)", strings.TrimSpace(errors.String()), err)
	}
	return output.String(), errors.String(), err
}

func (c *kubeComponent) InvokeOrFail(t test.Failer, args []string) (string, string) {
	output, errors, err := c.Invoke(args)
	if err != nil {
		t.Fatalf("istioctl %s: %v\n%s%s", strings.Join(args, " "), err, output, errors)
	}
	return output, errors
}
