{{- define "wayfare.operator" -}}
{{ .Release.Name }}-operator
{{- end }}

{{- define "wayfare.selector" -}}
app.kubernetes.io/name: wayfare
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "wayfare.labels" -}}
{{ include "wayfare.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "wayfare.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* The namespaces that are served, as a JSON list; the release's own when none is named. */ -}}
{{- define "wayfare.namespaces" -}}
{{- if .Values.clusterWide -}}[]
{{- else -}}{{ .Values.namespaces | default (list .Release.Namespace) | toJson }}
{{- end -}}
{{- end }}

{{- define "wayfare.subject" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "wayfare.operator" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
