// Installs the mesh with the program `istioctl` that the runner puts into PATH, and not with Istio's library.
package istio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	testenv "istio.io/istio/pkg/test/env"
	"istio.io/istio/pkg/test/framework/components/cluster"
	"istio.io/istio/pkg/test/framework/resource"
	"istio.io/istio/pkg/test/scopes"
)

type installArgs struct {
	ComponentName string
	Revision      string
	Files         []string
	Set           []string
}

func (args *installArgs) AppendSet(key, value string) {
	args.Set = append(args.Set, key+"="+value)
}

// words returns the command line that follows a verb of the program.
func (args installArgs) words(kubeconfig string) []string {
	words := []string{"--kubeconfig", kubeconfig}
	for _, file := range args.Files {
		words = append(words, "-f", file)
	}
	for _, set := range args.Set {
		words = append(words, "--set", set)
	}
	if args.Revision != "" {
		words = append(words, "--revision", args.Revision)
	}
	return words
}

type installer struct {
	ctx       resource.Context
	workDir   string
	mutex     sync.Mutex
	manifests map[string][]string
}

func newInstaller(ctx resource.Context, workDir string) *installer {
	return &installer{ctx: ctx, workDir: workDir, manifests: map[string][]string{}}
}

func (i *installer) Install(c cluster.Cluster, args installArgs) error {
	kubeconfig, err := kubeConfigFileForCluster(c)
	if err != nil {
		return err
	}
	if i.ctx.Settings().Ambient {
		args.Files = append(args.Files, filepath.Join(testenv.IstioSrc, IntegrationTestAmbientDefaultsIOP))
	}
	if i.ctx.Settings().PeerMetadataDiscovery && args.ComponentName == "" {
		args.Files = append(args.Files, filepath.Join(testenv.IstioSrc, IntegrationTestPeerMetadataDiscoveryDefaultsIOP))
	}
	words := args.words(kubeconfig)
	manifest, err := istioctlOutput(append([]string{"manifest", "generate"}, words...))
	if err != nil {
		return err
	}
	i.mutex.Lock()
	i.manifests[c.Name()] = append(i.manifests[c.Name()], manifest)
	i.mutex.Unlock()
	_, err = istioctlOutput(append([]string{"install", "--skip-confirmation", "--readiness-timeout", "5m"}, words...))
	return err
}

// Close removes what was installed, except the CRDs, which the next suite needs.
func (i *installer) Close(c cluster.Cluster) error {
	i.mutex.Lock()
	manifests := i.manifests[c.Name()]
	delete(i.manifests, c.Name())
	i.mutex.Unlock()
	if len(manifests) == 0 {
		return nil
	}
	return i.ctx.ConfigKube(c).YAML("", removeCRDsSlice(manifests)).Delete()
}

func (i *installer) Dump(resource.Context) {
	for name, manifests := range i.manifests {
		file := filepath.Join(i.workDir, "manifests-"+name+".yaml")
		if err := os.WriteFile(file, []byte(strings.Join(manifests, "\n---\n")), 0o644); err != nil {
			scopes.Framework.Errorf("write %s: %v", file, err)
		}
	}
}

func istioctlOutput(words []string) (string, error) {
	scopes.Framework.Infof("istioctl %s", strings.Join(words, " "))
	command := exec.Command("istioctl", words...)
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("istioctl %s: %v: %s%s", strings.Join(words, " "), err, stderr.String(), output)
	}
	return string(output), nil
}
