// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

const (
	workers  = 4
	byVolume = "volume" // index of claims by the name of the volume that they have or will have
)

// provisioner works by the name of a volume: it looks at the volume, at its claim and at the disk, and does what is missing.
type provisioner struct {
	client   kubernetes.Interface
	disks    disks
	log      *slog.Logger
	events   record.EventBroadcaster
	recorder record.EventRecorder
	factory  informers.SharedInformerFactory
	volumes  cache.SharedIndexInformer
	claims   cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]
}

func newProvisioner(client kubernetes.Interface, d disks, log *slog.Logger) *provisioner {
	p := &provisioner{client: client, disks: d, log: log, events: record.NewBroadcaster(), factory: informers.NewSharedInformerFactory(client, 0)}
	p.recorder = p.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Provisioner})
	p.volumes = p.factory.Core().V1().PersistentVolumes().Informer()
	p.claims = p.factory.Core().V1().PersistentVolumeClaims().Informer()
	p.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 10*time.Second))
	return p
}

func (p *provisioner) run(ctx context.Context) error {
	err := p.claims.AddIndexers(cache.Indexers{byVolume: func(object any) ([]string, error) {
		claim, ok := object.(*corev1.PersistentVolumeClaim)
		if !ok {
			return nil, nil
		}
		return []string{volumeName(claim)}, nil
	}})
	if err != nil {
		return fmt.Errorf("index claims: %w", err)
	}
	for _, informer := range []cache.SharedIndexInformer{p.volumes, p.claims} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    p.enqueue,
			UpdateFunc: func(_, object any) { p.enqueue(object) },
		}); err != nil {
			return fmt.Errorf("watch volumes: %w", err)
		}
	}
	p.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: p.client.CoreV1().Events("")})
	defer p.events.Shutdown()
	p.factory.Start(ctx.Done())
	defer p.factory.Shutdown()
	p.factory.WaitForCacheSync(ctx.Done())
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for p.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	p.queue.ShutDown()
	working.Wait()
	return nil
}

func (p *provisioner) enqueue(object any) {
	switch o := object.(type) {
	case *corev1.PersistentVolume:
		p.queue.Add(o.Name)
	case *corev1.PersistentVolumeClaim:
		p.queue.Add(volumeName(o))
	}
}

func (p *provisioner) next(ctx context.Context) bool {
	name, stop := p.queue.Get()
	if stop {
		return false
	}
	defer p.queue.Done(name)
	if err := p.reconcile(ctx, name); err != nil {
		p.log.Error("volume needs another try", "volume", name, "error", err)
		p.queue.AddRateLimited(name)
		return true
	}
	p.queue.Forget(name)
	return true
}

func (p *provisioner) reconcile(ctx context.Context, name string) error {
	volume, claim, err := p.find(name)
	if err != nil {
		return err
	}
	switch decide(volume, claim) {
	case refuse:
		p.recorder.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", refusal(claim))
	case provision:
		if err := p.provision(ctx, name, claim); err != nil {
			p.recorder.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", err.Error())
			return err
		}
		p.recorder.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "made volume %s", name)
	case enlarge:
		if err := p.enlarge(ctx, volume, claim); err != nil {
			p.recorder.Event(claim, corev1.EventTypeWarning, "VolumeResizeFailed", err.Error())
			return err
		}
		p.recorder.Eventf(claim, corev1.EventTypeNormal, "VolumeResizeSuccessful", "enlarged volume %s", name)
	case reclaim:
		if err := p.reclaim(ctx, name); err != nil {
			p.recorder.Event(volume, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
			return err
		}
	}
	return nil
}

// find leaves nil what is not there.
func (p *provisioner) find(name string) (*corev1.PersistentVolume, *corev1.PersistentVolumeClaim, error) {
	object, _, err := p.volumes.GetIndexer().GetByKey(name)
	if err != nil {
		return nil, nil, fmt.Errorf("look up volume %s: %w", name, err)
	}
	volume, _ := object.(*corev1.PersistentVolume)
	claims, err := p.claims.GetIndexer().ByIndex(byVolume, name)
	if err != nil {
		return nil, nil, fmt.Errorf("look up the claim of volume %s: %w", name, err)
	}
	for _, object := range claims {
		// Others may name the volume too; the one it is bound to decides.
		if claim, ok := object.(*corev1.PersistentVolumeClaim); ok && (volume == nil || bound(volume, claim)) {
			return volume, claim, nil
		}
	}
	return volume, nil, nil
}

// provision makes the disk before the volume: who sees the volume can mount it. A disk whose claim goes in between stays until the cluster does.
func (p *provisioner) provision(ctx context.Context, name string, claim *corev1.PersistentVolumeClaim) error {
	class, err := p.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read storage class %s: %w", *claim.Spec.StorageClassName, err)
	}
	size := sizeOf(claim)
	if err := p.disks.ensure(ctx, name, size.Value()); err != nil {
		return err
	}
	volume := build(name, p.disks.folder(name), size, claim, *class.ReclaimPolicy)
	if _, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

// enlarge tells of the new size when it is there: the volume first, the claim last, since the claim's size is what users wait for.
func (p *provisioner) enlarge(ctx context.Context, volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) error {
	size := sizeOf(claim)
	if has := volume.Spec.Capacity[corev1.ResourceStorage]; size.Cmp(has) < 0 {
		size = has
	}
	if err := p.disks.ensure(ctx, volume.Name, size.Value()); err != nil {
		return err
	}
	_, err := p.client.CoreV1().PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType, capacity("spec", size), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("tell the size of volume %s: %w", volume.Name, err)
	}
	_, err = p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).
		Patch(ctx, claim.Name, types.MergePatchType, capacity("status", size), metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("tell the size of claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

func capacity(part string, size resource.Quantity) []byte {
	patch, _ := json.Marshal(map[string]any{part: map[string]any{"capacity": corev1.ResourceList{corev1.ResourceStorage: size}}})
	return patch // marshals always
}

func (p *provisioner) reclaim(ctx context.Context, name string) error {
	if err := p.disks.remove(name); err != nil {
		return err
	}
	if err := p.client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete volume %s: %w", name, err)
	}
	return nil
}
