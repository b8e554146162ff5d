// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// ResourcesSpec is what a node's container may use.
//
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.requests) || self.requests.all(r, !(r in self.limits) || !isQuantity(string(self.requests[r])) || !isQuantity(string(self.limits[r])) || quantity(string(self.requests[r])).compareTo(quantity(string(self.limits[r]))) <= 0)",message="requests must be at most limits; those that are not given are cpu 100m and memory 256Mi",fieldPath=".requests",reason=FieldValueInvalid
type ResourcesSpec struct {
	// What is set aside for a node: cpu, memory and ephemeral-storage. Default: cpu 100m, memory 256Mi.
	// +optional
	// +kubebuilder:default={cpu: "100m", memory: "256Mi"}
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(r, r in ['cpu', 'memory', 'ephemeral-storage'])",message="requests are of cpu, memory and ephemeral-storage"
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// What a node may use at most. A node that exceeds its memory is killed. Default: no limits.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(r, r in ['cpu', 'memory', 'ephemeral-storage'])",message="limits are of cpu, memory and ephemeral-storage"
	// +kubebuilder:validation:XValidation:rule="!('memory' in self) || !isQuantity(string(self['memory'])) || quantity(string(self['memory'])).compareTo(quantity('128Mi')) >= 0",message="memory must be 128Mi at least, or nodes are killed while they work"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// SchedulingSpec says where nodes run. Changing it rolls the nodes, one at a time.
type SchedulingSpec struct {
	// Whether nodes of the cluster may share a machine. Required: never; a node waits for a machine of its own. Preferred: only when there is
	// no other. None: this does not matter. Default: Preferred.
	// +optional
	// +kubebuilder:default=Preferred
	// +kubebuilder:validation:Enum=Required;Preferred;None
	AntiAffinity Preference `json:"antiAffinity,omitempty"`
	// Whether nodes of the cluster are spread over zones, as the label topology.kubernetes.io/zone of machines tells them. Required: a node
	// waits for a machine that keeps zones even. Preferred: as far as can be. None: this does not matter. Default: Preferred.
	// +optional
	// +kubebuilder:default=Preferred
	// +kubebuilder:validation:Enum=Required;Preferred;None
	ZoneSpread Preference `json:"zoneSpread,omitempty"`
	// Labels that machines must have. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Taints of machines that nodes tolerate. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Name of the pods' PriorityClass. Default: none.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// Preference says how much something is wanted.
type Preference string

// How much something is wanted.
const (
	PreferenceRequired  Preference = "Required"
	PreferencePreferred Preference = "Preferred"
	PreferenceNone      Preference = "None"
)

// PodTemplatePatch is laid over the pod template. It has no field that could weaken the pods' security or that mounts Secrets.
type PodTemplatePatch struct {
	// Labels and annotations.
	// +optional
	Metadata PodMetadata `json:"metadata,omitempty"`
	// Containers, volumes and more.
	// +optional
	Spec PodSpecPatch `json:"spec,omitempty"`
}

// PodMetadata are labels and annotations of pods.
type PodMetadata struct {
	// Labels of pods. Default: none beside the operator's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('unibus.dev/') && !k.startsWith('app.kubernetes.io/'))",message="labels that begin with unibus.dev/ or app.kubernetes.io/ are the operator's own"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$'))",message="values of labels have 63 letters, digits, '-', '_' and '.' at most, a letter or digit first and last"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// Annotations of pods. Default: none beside the operator's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('unibus.dev/'))",message="annotations that begin with unibus.dev/ are the operator's own"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('container.apparmor.security.') && !k.startsWith('container.seccomp.security.') && !k.startsWith('seccomp.security.'))",message="profiles of AppArmor and seccomp are the runtime's defaults, and no annotation weakens them",reason=FieldValueForbidden
	Annotations map[string]string `json:"annotations,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// PodSpecPatch is laid over the specification of pods. Lists are merged by the names of what is in them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.containers) || self.containers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",message="volumeMounts name volumes of this patch only: those of the operator hold keys and data",fieldPath=".containers",reason=FieldValueForbidden
type PodSpecPatch struct {
	// Containers: one named unibus patches that of the node, any other is added beside it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Containers []ContainerPatch `json:"containers,omitempty"`
	// Volumes that are added, for the containers of this patch.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Volumes []VolumePatch `json:"volumes,omitempty"`
	// Lines that are added to the pods' /etc/hosts.
	// +optional
	// +listType=map
	// +listMapKey=ip
	// +kubebuilder:validation:MaxItems=32
	HostAliases []corev1.HostAlias `json:"hostAliases,omitempty"`
	// DNS settings that are added to those of Kubernetes.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`
	// Name of the RuntimeClass. Default: the Kubernetes cluster's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	RuntimeClassName *string `json:"runtimeClassName,omitempty"`
	// Name of the scheduler. Default: the Kubernetes cluster's.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SchedulerName string `json:"schedulerName,omitempty"`
}

// NodeContainer is the name of the container in which a node runs.
const NodeContainer = "unibus"

// ContainerPatch is laid over a container, or makes one. The operator gives each the security context that "restricted" asks for, with a
// file system that can't be written.
//
// +kubebuilder:validation:XValidation:rule="self.name == 'unibus' ? !has(self.image) && !has(self.command) && !has(self.args) && !has(self.ports) : has(self.image)",message="the node's container (unibus) takes no image, command, args or ports here, see spec.image; any other container needs an image",fieldPath=".image",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="self.name != 'unibus' || !has(self.resources)",message="the node's resources are at spec.resources",fieldPath=".resources",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="self.name != 'unibus' || !has(self.env) || self.env.all(e, !e.name.startsWith('UNIBUS_') && e.name != 'POD_NAME')",message="the node is configured by the fields of this spec, not by UNIBUS_ variables; POD_NAME is the operator's",fieldPath=".env",reason=FieldValueForbidden
type ContainerPatch struct {
	// Name of the container; unibus is the node's.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="lower-case letters, digits and '-', a letter or digit first and last"
	Name string `json:"name"`
	// Image of an added container.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// Command of an added container. Default: the image's.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Command []string `json:"command,omitempty"`
	// Arguments of an added container. Default: the image's.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Args []string `json:"args,omitempty"`
	// Environment variables that are added.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Env []EnvPatch `json:"env,omitempty"`
	// Ports of an added container, none of which the node uses.
	// +optional
	// +listType=map
	// +listMapKey=containerPort
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(p, !(p.containerPort in [4222, 6222, 6223, 8222, 8223]))",message="4222, 6222, 6223, 8222 and 8223 are the node's ports"
	Ports []PortPatch `json:"ports,omitempty"`
	// What an added container may use.
	// +optional
	Resources *SidecarResources `json:"resources,omitempty"`
	// Volumes of this patch that are mounted.
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=8
	VolumeMounts []VolumeMountPatch `json:"volumeMounts,omitempty"`
}

// EnvPatch is an environment variable.
type EnvPatch struct {
	// Name of the variable.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",message="letters, digits and '_', no digit first"
	Name string `json:"name"`
	// Value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// PortPatch is a port of a container.
type PortPatch struct {
	// Name of the port.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name,omitempty"`
	// The port, 1 to 65535.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ContainerPort int32 `json:"containerPort"`
}

// SidecarResources is what an added container may use.
type SidecarResources struct {
	// What is set aside for it.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// What it may use at most.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// VolumeMountPatch mounts a volume of the patch.
type VolumeMountPatch struct {
	// Name of the volume.
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Where it is mounted, a path from the root on; not at or above the node's own folders, /etc/unibus and /var/lib/unibus.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$') && !(self in ['/etc', '/var', '/var/lib']) && !self.matches('^/(etc|var/lib)/unibus(/|$)')",message="a path such as /var/cache/app, without a part that begins with '.'; not at, in or above /etc/unibus and /var/lib/unibus, the node's folders"
	MountPath string `json:"mountPath"`
	// Whether it is mounted for reading only. Default: false.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
}

// VolumePatch is a volume of one of two kinds: an empty folder that lives as long as the pod, or a ConfigMap's content.
//
// +kubebuilder:validation:XValidation:rule="has(self.emptyDir) != has(self.configMap)",message="a volume is either emptyDir or configMap; others, Secrets among them, can't be mounted beside the bus",fieldPath=".emptyDir",reason=FieldValueInvalid
type VolumePatch struct {
	// Name of the volume.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="lower-case letters, digits and '-', a letter or digit first and last"
	// +kubebuilder:validation:XValidation:rule="!(self in ['data', 'config', 'identity', 'route-secret', 'route-tls', 'client-tls'])",message="data, config, identity, route-secret, route-tls and client-tls are the operator's own volumes",reason=FieldValueForbidden
	Name string `json:"name"`
	// An empty folder.
	// +optional
	EmptyDir *EmptyDirVolume `json:"emptyDir,omitempty"`
	// The content of a ConfigMap of this namespace.
	// +optional
	ConfigMap *ConfigMapVolume `json:"configMap,omitempty"`
}

// EmptyDirVolume is an empty folder.
type EmptyDirVolume struct {
	// Where it is: empty for disk, Memory for memory. Default: disk.
	// +optional
	// +kubebuilder:validation:Enum="";Memory
	Medium corev1.StorageMedium `json:"medium,omitempty"`
}

// ConfigMapVolume is the content of a ConfigMap.
type ConfigMapVolume struct {
	// Name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Let pods start without it. Default: false.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}
