// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// controlPlane is what of Kubernetes is real in these tests: etcd and the API server, the controllers of StatefulSets, of owners and of claims that
// are in use, and cert-manager.
type controlPlane struct {
	dir string
	bin proc.Binaries
	// config is that of one who may do everything, operator that of the operator, who may do what config/rbac says.
	config, operator *rest.Config

	env       envtest.Environment
	processes map[string]*proc.Process
	// role is what the operator may do, witness what of it was needed.
	role    rbacv1.ClusterRole
	witness *witness
}

// plane is the one of this process, nil as long as no test needed it.
var plane *controlPlane

// errNoAssets is returned where Kubernetes has not been built.
var errNoAssets = errors.New("no kube-apiserver: eval \"$(make envtest-assets)\" builds it, once")

var startPlane = sync.OnceValue(func() error {
	assets, err := findAssets()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "unibus-operator-")
	if err != nil {
		return err
	}
	plane = &controlPlane{dir: dir, processes: map[string]*proc.Process{}, witness: newWitness()}
	return plane.start(assets)
})

// findAssets finds the folder with all parts of Kubernetes: the one that the environment names, or else the newest that was built here.
func findAssets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	all, err := filepath.Glob(filepath.Join(cache, "unibus-devcluster", "components-*", "components"))
	if err != nil || len(all) == 0 {
		return "", errNoAssets
	}
	newest := slices.MaxFunc(all, func(a, b string) int { return modified(a).Compare(modified(b)) })
	return filepath.Dir(newest), nil
}

func modified(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func (p *controlPlane) start(assets string) (err error) {
	if p.bin, err = proc.Build(context.Background(), p.dir, false); err != nil {
		return err
	}
	p.env = envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(crdtest.Root(), "config", "crd", "bases"), filepath.Join(assets, "crds")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: limit, ControlPlaneStopTimeout: limit,
	}
	args := p.env.ControlPlane.GetAPIServer().Configure().
		Set("enable-admission-plugins", "OwnerReferencesPermissionEnforcement"). // as OpenShift has it: who gives an object an owner needs further rights
		Set("service-cluster-ip-range", "10.96.0.0/16").                         // the benchmark makes more Services than envtest has addresses
		Set("feature-gates", "WatchList=false")                                  // as the lowest version has it: what is watched is listed before
	if err := p.witness.listen(args, p.dir); err != nil {
		return fmt.Errorf("watch what rights are needed: %w", err)
	}
	if p.config, err = p.env.Start(); err != nil {
		return fmt.Errorf("start the API server: %w", err)
	}
	if err := p.grant(); err != nil {
		return fmt.Errorf("give the operator its rights: %w", err)
	}
	kubeconfig := filepath.Join(p.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, p.env.KubeConfig, 0o600); err != nil {
		return err
	}
	port, err := natstest.FreePort()
	if err != nil {
		return err
	}
	health := fmt.Sprintf("127.0.0.1:%d", port)
	for name, args := range map[string][]string{
		"kube-controller-manager": {"--controllers=statefulset-controller,garbage-collector-controller,persistentvolumeclaim-protection-controller", "--leader-elect=false", "--secure-port=0"},
		"cert-manager":            {"--listen=" + health},
	} {
		started, err := proc.Start(proc.Command{Name: name, Path: filepath.Join(assets, name), Args: append(args, "--kubeconfig="+kubeconfig),
			Log: filepath.Join(p.dir, name+".log")})
		if err != nil {
			return err
		}
		p.processes[name] = started
	}
	if !natstest.Until(limit, func() bool { return answers(context.Background(), "http://"+health+"/healthz") }) {
		return fmt.Errorf("cert-manager does not work:\n%s", proc.Tail(filepath.Join(p.dir, "cert-manager.log"), 20))
	}
	return nil
}

// grant lets the operator do what config/rbac says.
func (p *controlPlane) grant() error {
	api, err := client.New(p.config, client.Options{})
	if err != nil {
		return err
	}
	binding := new(rbacv1.ClusterRoleBinding)
	for file, o := range map[string]client.Object{"role.yaml": &p.role, "role_binding.yaml": binding} {
		b, err := os.ReadFile(filepath.Join(crdtest.Root(), "config", "rbac", file))
		if err == nil {
			err = yaml.UnmarshalStrict(b, o)
		}
		if err == nil {
			err = api.Create(context.Background(), o)
		}
		if err != nil {
			return err
		}
	}
	who := binding.Subjects[0]
	p.witness.user = "system:serviceaccount:" + who.Namespace + ":" + who.Name
	user, err := p.env.AddUser(envtest.User{Name: p.witness.user}, &rest.Config{QPS: -1})
	if err != nil {
		return err
	}
	p.operator = user.Config()
	return nil
}

func (p *controlPlane) stop() {
	for _, started := range p.processes {
		started.Kill()
	}
	_ = p.env.Stop() // the processes are killed with this one at the latest
	p.witness.server.Close()
}

// answers says whether a URL is answered with 200.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// raced is true with the race detector.
var raced bool

// mustPlane returns the control plane. Without Kubernetes there is nothing to be tested. With the race detector there is little: nodes are
// tested with it by their own packages, and clusters of them, operators that begin again and again, and Kubernetes beside them would take
// several times as long as all else that is tested of the operator.
func mustPlane(t testing.TB) *controlPlane {
	t.Helper()
	if raced {
		t.Skip("it runs without the race detector: make test, or go test ./controllers")
	}
	err := startPlane()
	if errors.Is(err, errNoAssets) {
		natstest.Lacks(t, "%v", err)
	}
	must(t, err)
	return plane
}
