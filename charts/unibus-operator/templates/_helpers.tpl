{{/* Name of all objects in a namespace: that of the release. */}}
{{- define "name" -}}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{- end }}

{{/* Name of objects that are in no namespace. */}}
{{- define "wideName" -}}{{ include "name" . }}.{{ .Release.Namespace }}{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: unibus-operator
app.kubernetes.io/instance: {{ include "name" . }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "subjects" -}}
- kind: ServiceAccount
  name: {{ include "name" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What all pods have alike, for "restricted" among other things. */}}
{{- define "podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "image" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "container" -}}
env:
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "placement" -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $.Values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Who has an object that is there and not this release's own. */}}
{{- define "foreign" -}}
{{- with .object.metadata -}}
{{- $name := dig "annotations" "meta.helm.sh/release-name" "" . -}}
{{- $namespace := dig "annotations" "meta.helm.sh/release-namespace" "" . -}}
{{- if not $name -}}
an operator that Helm did not install
{{- else if or (ne $name $.of.Release.Name) (ne $namespace $.of.Release.Namespace) -}}
release {{ $name }} in namespace {{ $namespace }}
{{- end -}}
{{- end -}}
{{- end }}
