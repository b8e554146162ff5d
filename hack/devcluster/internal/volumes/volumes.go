// SPDX-License-Identifier: Apache-2.0

// Package volumes gives a cluster dynamic volumes of a real size: a sparse file, a loop device and an xfs of its own for each, exposed as a
// `local` volume that is pinned to the node of its first consumer. It fills at the size asked for, and grows while it is mounted. All nodes
// share the machine's mount namespace, so one provisioner serves them all.
package volumes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Provisioner is the name by which storage classes ask for these volumes.
const Provisioner = "devcluster.unibus.dev/loop"

// Options say for which cluster volumes are made, and where.
type Options struct {
	Kubeconfig string       // of somebody who may do everything
	Dir        string       // absolute; volumes of one cluster only
	Log        *slog.Logger // nil for the default logger
}

// Run makes the storage classes `standard` (the default) and `standard-retain`, then makes, grows and deletes volumes until ctx ends. It
// waits for an API server that does not answer yet. It may be killed at any point: it goes on from what is there.
func Run(ctx context.Context, o Options) error {
	if err := check(o.Dir); err != nil {
		return err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %s: %w", o.Kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client from kubeconfig %s: %w", o.Kubeconfig, err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of volumes: %w", err)
	}
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		err := makeClasses(ctx, client)
		if err != nil {
			o.Log.Info("storage classes can't be made yet", "error", err)
		}
		return err == nil, nil
	})
	return newProvisioner(client, disks{o.Dir}, o.Log).run(ctx)
}

func makeClasses(ctx context.Context, client kubernetes.Interface) error {
	for _, class := range classes() {
		_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make storage class %s: %w", class.Name, err)
		}
	}
	return nil
}

func classes() []*storagev1.StorageClass {
	class := func(name, isDefault string, reclaim corev1.PersistentVolumeReclaimPolicy) *storagev1.StorageClass {
		mode, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
		return &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
				"storageclass.kubernetes.io/is-default-class": isDefault,
			}},
			Provisioner: Provisioner, ReclaimPolicy: &reclaim, VolumeBindingMode: &mode, AllowVolumeExpansion: &expand,
		}
	}
	return []*storagev1.StorageClass{
		class("standard", "true", corev1.PersistentVolumeReclaimDelete),
		class("standard-retain", "false", corev1.PersistentVolumeReclaimRetain),
	}
}

// check keeps a wrong folder from unmounting half of the machine.
func check(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
		return fmt.Errorf("folder of volumes %q: must be absolute and not the root: give one that belongs to the cluster", dir)
	}
	return nil
}
