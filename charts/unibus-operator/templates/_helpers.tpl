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
