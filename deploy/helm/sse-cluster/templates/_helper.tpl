{{/* A Deployment of one pod beside the cluster: prober and demo.
     Argument: [root, component, setting that takes the token, settings that the chart knows]. */}}
{{- define "sse.helper" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := get $root.Values $component -}}
{{- $me := list $root $component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "sse.fullname" $root }}-{{ $component }}
  labels:
    {{- include "sse.labels" $me | nindent 4 }}
spec:
  replicas: 1
  # Two at a time would count or publish twice.
  strategy:
    type: Recreate
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "sse.selector" $me | nindent 6 }}
  template:
    metadata:
      {{- include "sse.pod.metadata" $me | nindent 6 }}
    spec:
      {{- include "sse.pod.spec" (list $root $component 1000) | nindent 6 }}
      terminationGracePeriodSeconds: 15
      containers:
        - name: {{ $component }}
          image: {{ include "sse.image" (list $root "services") }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          args: [services/{{ $component }}/main.ts]
          env:
            {{- include "sse.env" (merge dict $values.settings (index . 3)) | nindent 12 }}
            {{- if and (eq $root.Values.auth.mode "jwt") $values.tokenSecret }}
            - name: {{ index . 2 }}
              valueFrom:
                secretKeyRef:
                  name: {{ $values.tokenSecret }}
                  key: {{ $values.tokenKey }}
            {{- end }}
          ports:
            - name: metrics
              containerPort: 9100
          {{- include "sse.container.probes" $root | nindent 10 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          {{- include "sse.container.security" $root | nindent 10 }}
{{- end -}}

{{/* Argument: [root, component]. */}}
{{- define "sse.metricsService" -}}
{{- $root := index . 0 -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sse.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "sse.labels" . | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "sse.selector" . | nindent 4 }}
  ports:
    - name: metrics
      port: 9100
      targetPort: metrics
{{- end -}}
