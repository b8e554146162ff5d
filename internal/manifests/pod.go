// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/daemonconfig"
)

const (
	// user and group of the nodes; images need no line for them in /etc/passwd.
	nodeUser = 65532
	// A group may read secrets, nobody else: the nodes refuse them otherwise.
	secretMode = 0o440

	podNameVariable   = "POD_NAME"
	advertiseVariable = "UNIBUS_ADVERTISE"
)

// gracePeriod is how long a pod may take to end, in seconds: twice what a node may take to hand over what it leads, for what follows.
func gracePeriod() int64 { return int64(2 * daemonconfig.Default().StopTimeout.Seconds()) }

// podTemplate is the same whatever the number of replicas. config is the name of the configuration's ConfigMap.
func podTemplate(c *v1alpha1.UnibusCluster, in Inputs, config string) (*applycorev1.PodTemplateSpecApplyConfiguration, error) {
	spec := applycorev1.PodSpec().
		WithServiceAccountName(c.ServiceAccountName()).
		WithAutomountServiceAccountToken(false).
		// Variables of Services would look like settings to a node whose cluster is called unibus.
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(gracePeriod()).
		WithSecurityContext(applycorev1.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(nodeUser).WithRunAsGroup(nodeUser).
			WithFSGroup(nodeUser).WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(applycorev1.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(container(c, in)).
		WithVolumes(volumes(c, config)...)
	for _, s := range c.Spec.ImagePullSecrets {
		spec.WithImagePullSecrets(applycorev1.LocalObjectReference().WithName(s.Name))
	}
	if err := schedule(c, spec); err != nil {
		return nil, err
	}
	template := applycorev1.PodTemplateSpec().
		WithLabels(labels(c, node)).
		WithAnnotations(map[string]string{"kubectl.kubernetes.io/default-container": v1alpha1.NodeContainer}).
		WithSpec(spec)
	if wish := c.Annotations[v1alpha1.AnnotationRestart]; wish != "" {
		template.WithAnnotations(map[string]string{v1alpha1.AnnotationRestart: wish})
	}
	return patched(c, template)
}

func container(c *v1alpha1.UnibusCluster, in Inputs) *applycorev1.ContainerApplyConfiguration {
	out := applycorev1.Container().
		WithName(v1alpha1.NodeContainer).
		WithImage(in.Image).
		WithArgs("--"+daemonconfig.ConfigFlag, configDir+"/"+configFile).
		WithEnv(environment(c)...).
		WithResources(applycorev1.ResourceRequirements().WithRequests(c.Spec.Resources.Requests).WithLimits(c.Spec.Resources.Limits)).
		WithSecurityContext(restricted()).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		// A node is alive while it waits for an order and while it reads a large store: both probes ask for nothing else. The one at
		// the start bridges what is before its HTTP port is open.
		WithStartupProbe(probe("/livez", 1, 300)).
		WithLivenessProbe(probe("/livez", 10, 6)).
		WithReadinessProbe(probe("/readyz", 2, 3))
	if c.Spec.ImagePullPolicy != "" {
		out.WithImagePullPolicy(c.Spec.ImagePullPolicy)
	}
	for _, p := range ports() {
		out.WithPorts(applycorev1.ContainerPort().WithName(p.name).WithContainerPort(p.number).WithProtocol(corev1.ProtocolTCP))
	}
	mount := func(name, path string, readOnly bool) {
		out.WithVolumeMounts(applycorev1.VolumeMount().WithName(name).WithMountPath(path).WithReadOnly(readOnly))
	}
	mount(v1alpha1.DataVolume, dataDir, false)
	mount(volumeConfig, configDir, true)
	mount(volumeIdentity, identityDir, true)
	mount(volumeRouteSecret, routeSecretDir, true)
	mount(volumeRouteTLS, routeTLSDir, true)
	mount(volumeClientTLS, clientTLSDir, true)
	return out
}

// environment tells a pod where the others reach it, and Go how much memory there is before the kernel ends the process.
func environment(c *v1alpha1.UnibusCluster) []*applycorev1.EnvVarApplyConfiguration {
	env := []*applycorev1.EnvVarApplyConfiguration{
		applycorev1.EnvVar().WithName(podNameVariable).
			WithValueFrom(applycorev1.EnvVarSource().WithFieldRef(applycorev1.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath("metadata.name"))),
		applycorev1.EnvVar().WithName(advertiseVariable).
			WithValue(fmt.Sprintf("$(%s).%s.%s.svc", podNameVariable, c.NodesServiceName(), c.Namespace)),
	}
	if memory := c.Spec.Resources.Limits.Memory().Value(); memory > 0 {
		env = append(env, applycorev1.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(memory/10*9, 10)))
	}
	return env
}

// restricted is what the Pod Security Standard of that name asks for, and no more: also a file system that can't be written.
func restricted() *applycorev1.SecurityContextApplyConfiguration {
	return applycorev1.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(applycorev1.Capabilities().WithDrop("ALL"))
}

func probe(path string, period, failures int32) *applycorev1.ProbeApplyConfiguration {
	return applycorev1.Probe().
		WithHTTPGet(applycorev1.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(portHTTP)).WithScheme(corev1.URISchemeHTTP)).
		WithPeriodSeconds(period).
		WithTimeoutSeconds(5).
		WithFailureThreshold(failures)
}

// Names of volumes. The API refuses patches that use them.
const (
	volumeConfig      = "config"
	volumeIdentity    = "identity"
	volumeRouteSecret = "route-secret"
	volumeRouteTLS    = "route-tls"
	volumeClientTLS   = "client-tls"
)

func volumes(c *v1alpha1.UnibusCluster, config string) []*applycorev1.VolumeApplyConfiguration {
	secret := func(volume, name string) *applycorev1.VolumeApplyConfiguration {
		return applycorev1.Volume().WithName(volume).
			WithSecret(applycorev1.SecretVolumeSource().WithSecretName(name).WithDefaultMode(secretMode))
	}
	return []*applycorev1.VolumeApplyConfiguration{
		applycorev1.Volume().WithName(volumeConfig).
			WithConfigMap(applycorev1.ConfigMapVolumeSource().WithName(config).WithDefaultMode(secretMode)),
		// There is none before the cluster is founded, and it only ever denies.
		applycorev1.Volume().WithName(volumeIdentity).
			WithConfigMap(applycorev1.ConfigMapVolumeSource().WithName(c.IdentityName()).WithDefaultMode(secretMode).WithOptional(true)),
		secret(volumeRouteSecret, c.RouteSecretName()),
		secret(volumeRouteTLS, c.RouteTLSName()),
		secret(volumeClientTLS, c.ClientTLSName()),
	}
}
