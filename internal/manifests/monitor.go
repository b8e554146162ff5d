// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"maps"
	"time"

	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// podMonitor is what is applied of the Prometheus operator's kind of that name, whose module has no apply configurations.
type podMonitor struct {
	metav1.TypeMetaApplyConfiguration    `json:",inline"`
	*metav1.ObjectMetaApplyConfiguration `json:"metadata,omitempty"`
	Spec                                 *podMonitorSpec `json:"spec,omitempty"`
}

type podMonitorSpec struct {
	Selector  *metav1.LabelSelectorApplyConfiguration `json:"selector"`
	Endpoints []podMonitorEndpoint                    `json:"podMetricsEndpoints"`
}

type podMonitorEndpoint struct {
	Port     string `json:"port"`
	Path     string `json:"path"`
	Interval string `json:"interval"`
}

// IsApplyConfiguration implements runtime.ApplyConfiguration.
func (*podMonitor) IsApplyConfiguration() {}

// GetAPIVersion implements Object.
func (m *podMonitor) GetAPIVersion() *string { return m.APIVersion }

// GetKind implements Object.
func (m *podMonitor) GetKind() *string { return m.Kind }

// GetName implements Object.
func (m *podMonitor) GetName() *string { return m.Name }

// GetNamespace implements Object.
func (m *podMonitor) GetNamespace() *string { return m.Namespace }

func monitored(c *v1alpha1.UnibusCluster, in Inputs) bool {
	return in.Monitoring && *c.Spec.Monitoring.PodMonitor
}

func bareMonitor(c *v1alpha1.UnibusCluster) *podMonitor {
	kind, version, name, namespace := "PodMonitor", "monitoring.coreos.com/v1", c.PodMonitorName(), c.Namespace
	return &podMonitor{
		TypeMetaApplyConfiguration:   metav1.TypeMetaApplyConfiguration{Kind: &kind, APIVersion: &version},
		ObjectMetaApplyConfiguration: &metav1.ObjectMetaApplyConfiguration{Name: &name, Namespace: &namespace},
	}
}

func monitor(c *v1alpha1.UnibusCluster) *podMonitor {
	m := bareMonitor(c)
	m.Labels = maps.Clone(c.Spec.Monitoring.Labels)
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	maps.Copy(m.Labels, labels(c, node))
	m.OwnerReferences = []metav1.OwnerReferenceApplyConfiguration{*owner(c)}
	m.Spec = &podMonitorSpec{
		Selector:  metav1.LabelSelector().WithMatchLabels(Selector(c)),
		Endpoints: []podMonitorEndpoint{{Port: portHTTP, Path: "/metrics", Interval: short(c.Spec.Monitoring.Interval.Duration)}},
	}
	return m
}

// short writes a duration as Prometheus takes it: whole hours, minutes and seconds.
func short(d time.Duration) string { return fmt.Sprintf("%ds", int64(d.Seconds())) }
