{{- define "sse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "sse.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sse.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sse.serviceAccount" -}}
{{- default (include "sse.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Labels that never change, for selectors. Argument: [root, component]. */}}
{{- define "sse.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "sse.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels. Argument: [root, component]. */}}
{{- define "sse.labels" -}}
{{- $root := index . 0 -}}
{{ include "sse.selector" . }}
app.kubernetes.io/part-of: sse-cluster
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* Argument: [root, name of the image]. */}}
{{- define "sse.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- get $root.Values.images $name | default (printf "sse-cluster-%s:%s" $name $root.Chart.AppVersion) -}}
{{- end -}}

{{/* Port of a URL: what it names, else its scheme's. */}}
{{- define "sse.port" -}}
{{- $host := regexReplaceAll "[/?].*$" (regexReplaceAll "^[a-z]+://" . "") "" -}}
{{- $default := get (dict "https" "443" "http" "80") (regexFind "^[a-z]+" .) | default "4222" -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default $default -}}
{{- end -}}

{{/* Ports of NATS's pods, for a NetworkPolicy. Argument: root. */}}
{{- define "sse.natsPorts" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.nats.url -}}
  {{- $ports = append $ports (dict "port" ($.Values.nats.port | default (include "sse.port" (trim .)) | int)) -}}
{{- end -}}
{{- uniq $ports | toYaml -}}
{{- end -}}
