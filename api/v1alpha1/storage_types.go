// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StorageSpec is the volume of each node.
//
// +kubebuilder:validation:XValidation:rule="has(self.class) == has(oldSelf.class) && (!has(self.class) || self.class == oldSelf.class)",message="the class of volumes can't change in place; make a cluster of the other class beside this one and move its users and rooms there",fieldPath=".class",reason=FieldValueForbidden
type StorageSpec struct {
	// Size of each node's volume, 256Mi at least. It can grow, where the storage class allows expansion, and never shrinks.
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('256Mi')) >= 0",message="a number of bytes such as 512Mi or 10Gi; 256Mi at least"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0",message="volumes only grow; for smaller ones make a cluster beside this one and move its users and rooms there",reason=FieldValueForbidden
	Size Size `json:"size"`
	// Name of the volumes' StorageClass. It can't change. Default: the Kubernetes cluster's default class at the time when a volume is made.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Class *string `json:"class,omitempty"`
	// What happens to the volume of a node that has left the cluster: Retain or Delete. A kept volume is wiped when a node joins on it
	// again; what was on it stays in its folder "aside". Default: Retain.
	// +optional
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Delete
	WhenScaled VolumePolicy `json:"whenScaled,omitempty"`
	// What happens to the volumes when the UnibusCluster is deleted: Retain or Delete. With kept volumes a cluster of the same name takes
	// up where this one stopped. With Delete the record of names and the key of the first admin go as well. Default: Retain.
	// +optional
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Delete
	WhenDeleted VolumePolicy `json:"whenDeleted,omitempty"`
}

// Size is a number of bytes, such as 10Gi, 512Mi or 1G.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=24
type Size struct {
	resource.Quantity `json:"-"`
}

// VolumePolicy says what happens to volumes that are not used any more.
type VolumePolicy string

// What happens to volumes that are not used any more.
const (
	VolumeRetain VolumePolicy = "Retain"
	VolumeDelete VolumePolicy = "Delete"
)

// JetStreamSpec is what the nodes' stores hold and how durable it is.
//
// +kubebuilder:validation:XValidation:rule="(has(self.raftTimers) ? self.raftTimers : 'Fast') == (has(oldSelf.raftTimers) ? oldSelf.raftTimers : 'Fast')",message="nodes keep the timers that they were first started with, and those of one cluster must agree; make a cluster beside this one and move its users and rooms there",fieldPath=".raftTimers",reason=FieldValueForbidden
type JetStreamSpec struct {
	// What all streams of a node together may hold, storage.size at most. Changing it rolls the nodes. Default: three quarters of the volume.
	// +optional
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('64Mi')) >= 0",message="a number of bytes such as 512Mi or 10Gi; 64Mi at least"
	MaxStoreSize *Size `json:"maxStoreSize,omitempty"`
	// Make every write durable on disk before it is acknowledged. Without it a majority of the nodes has the write in memory, which a
	// killed node does not lose, but a power cut of several machines at a time may. It costs throughput. Default: false.
	// +optional
	// +kubebuilder:default=false
	SyncAlways bool `json:"syncAlways,omitempty"`
	// How long a write may be in memory alone without syncAlways, 1s to 1h. Default: 2m.
	// +optional
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="a duration of minutes and seconds such as 30s; 1s to 1h"
	SyncInterval *metav1.Duration `json:"syncInterval,omitempty"`
	// How soon a silent leader is replaced: Fast (2 to 4 s) or Stock (4 to 9 s, for machines or networks that pause). It can't change.
	// Default: Fast.
	// +optional
	// +kubebuilder:default=Fast
	// +kubebuilder:validation:Enum=Fast;Stock
	RaftTimers RaftTimers `json:"raftTimers,omitempty"`
	// Classes of history that rooms can choose. A class that is taken out of this list stays on the bus until no room uses it. Default:
	// none; admins can make classes as well.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	HistoryClasses []HistoryClass `json:"historyClasses,omitempty"`
}

// RaftTimers says how soon a silent leader is replaced.
type RaftTimers string

// How soon a silent leader is replaced.
const (
	RaftTimersFast  RaftTimers = "Fast"
	RaftTimersStock RaftTimers = "Stock"
)

// HistoryClass is how much is kept of each room that chooses the class. The rooms of a class share one stream.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxMessageSize) || !isQuantity(self.maxMessageSize) || !isQuantity(self.maxSize) || quantity(self.maxMessageSize).compareTo(quantity(self.maxSize)) <= 0",message="maxMessageSize must be at most maxSize, or the class could not take a single message",fieldPath=".maxMessageSize",reason=FieldValueInvalid
type HistoryClass struct {
	// Name of the class, as rooms choose it: lower-case letters, digits and '-', a letter or digit first and last, 63 characters at most.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="lower-case letters, digits and '-', a letter or digit first and last"
	Name string `json:"name"`
	// What all rooms of the class together may hold on each node, 1Mi at least. It is reserved. Default: 64Mi.
	// +optional
	// +kubebuilder:default="64Mi"
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('1Mi')) >= 0",message="a number of bytes such as 512Mi or 10Gi; 1Mi at least"
	MaxSize Size `json:"maxSize,omitempty,omitzero"`
	// How many messages of a room are kept. Default: 1000.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	MaxMessagesPerRoom int64 `json:"maxMessagesPerRoom,omitempty"`
	// The largest message, headers included, at most limits.maxPayload. Default: 64Ki.
	// +optional
	// +kubebuilder:default="64Ki"
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('64Mi')) <= 0",message="a number of bytes such as 512Mi or 10Gi; 1 byte to 64Mi"
	MaxMessageSize Size `json:"maxMessageSize,omitempty,omitzero"`
	// How long messages are kept: hours, minutes and seconds, 2m at least; 0s for ever. Default: 720h, which is 30 days.
	// +optional
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && (duration(self) == duration('0s') || duration(self) >= duration('2m'))",message="a duration of hours, minutes and seconds such as 720h (there are no days); 2m at least, as long as message ids are remembered, or 0s for ever"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// What happens to a message for which there is no space: Roll removes the oldest, Refuse refuses the new one. Default: Roll.
	// +optional
	// +kubebuilder:default=Roll
	// +kubebuilder:validation:Enum=Roll;Refuse
	Full FullPolicy `json:"full,omitempty"`
	// How many messages a second one user may append at each node; 0 for no bound. Default: 100.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=0
	PublisherRate *int32 `json:"publisherRate,omitempty"`
	// How many messages a second all users of a room may append at each node; 0 for no bound. Default: 1000.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=0
	RoomRate *int32 `json:"roomRate,omitempty"`
}

// FullPolicy says what a class does when it is full.
type FullPolicy string

// What a class does when it is full.
const (
	FullRoll   FullPolicy = "Roll"
	FullRefuse FullPolicy = "Refuse"
)

// LimitsSpec bounds what clients may use. Changing it rolls the nodes, one at a time.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxPayload) || !has(self.maxPending) || !isQuantity(self.maxPayload) || !isQuantity(self.maxPending) || quantity(self.maxPayload).compareTo(quantity(self.maxPending)) <= 0",message="maxPending must be at least maxPayload, one message",fieldPath=".maxPending",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.cutOffDrop) || !has(self.cutOffRefuse) || !self.cutOffDrop.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || !self.cutOffRefuse.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || duration(self.cutOffDrop) == duration('0s') || (duration(self.cutOffRefuse) != duration('0s') && duration(self.cutOffDrop) >= duration(self.cutOffRefuse))",message="cutOffDrop must be at least cutOffRefuse, which may not be 0s then: whoever is dropped would be admitted again at once",fieldPath=".cutOffDrop",reason=FieldValueInvalid
type LimitsSpec struct {
	// Largest message, 1Ki to 64Mi. Default: 1Mi.
	// +optional
	// +kubebuilder:default="1Mi"
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('64Mi')) <= 0",message="a number of bytes such as 512Mi or 10Gi; 1Ki to 64Mi"
	MaxPayload *Size `json:"maxPayload,omitempty"`
	// Clients of one node at a time. Default: 65536.
	// +optional
	// +kubebuilder:default=65536
	// +kubebuilder:validation:Minimum=1
	MaxConnections *int32 `json:"maxConnections,omitempty"`
	// Subscriptions of one client. Default: 10000.
	// +optional
	// +kubebuilder:default=10000
	// +kubebuilder:validation:Minimum=1
	MaxSubscriptions *int32 `json:"maxSubscriptions,omitempty"`
	// What may wait for a slow client before it is cut off, at least maxPayload. Default: 64Mi.
	// +optional
	// +kubebuilder:default="64Mi"
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('64Gi')) <= 0",message="a number of bytes such as 512Mi or 10Gi; 1Ki to 64Gi"
	MaxPending *Size `json:"maxPending,omitempty"`
	// How long a node may be cut off from changes of users and rooms before it admits nobody: 5s at least, or 0s to admit by what it
	// knew. Default: 10s.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && (duration(self) == duration('0s') || duration(self) >= duration('5s'))",message="a duration of hours, minutes and seconds such as 10s; 5s at least, since a lost leader is replaced within some seconds, or 0s for never"
	CutOffRefuse *metav1.Duration `json:"cutOffRefuse,omitempty"`
	// How long a node may be cut off before it drops all users, so that whoever was removed meanwhile is out: at least cutOffRefuse, or
	// 0s to keep them. Default: 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && (duration(self) == duration('0s') || duration(self) >= duration('5s'))",message="a duration of hours, minutes and seconds such as 30s; 5s at least, or 0s for never"
	CutOffDrop *metav1.Duration `json:"cutOffDrop,omitempty"`
}

// LogSpec is the form and level of the nodes' log.
type LogSpec struct {
	// Form of the log: JSON or Text. Default: JSON.
	// +optional
	// +kubebuilder:default=JSON
	// +kubebuilder:validation:Enum=JSON;Text
	Format LogFormat `json:"format,omitempty"`
	// Least level that is logged: Debug, Info, Warn or Error. Default: Info.
	// +optional
	// +kubebuilder:default=Info
	// +kubebuilder:validation:Enum=Debug;Info;Warn;Error
	Level LogLevel `json:"level,omitempty"`
}

// LogFormat is a form of a log, in the node's own words but for case.
type LogFormat string

// LogLevel is a level of a log, in the node's own words but for case.
type LogLevel string
