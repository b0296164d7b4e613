{{/*
What all pods have in common, in the order of a pod's fields.
*/}}

{{/* Annotations and labels. Argument: [root, component]. A Secret that was rotated rolls its pods with the next upgrade:
     Kubernetes by itself would leave them with the old one. */}}
{{- define "sse.pod.metadata" -}}
{{- $root := index . 0 -}}
{{- $values := get $root.Values (index . 1) -}}
{{- $sums := dict -}}
{{- $names := list -}}
{{- if has (index . 1) (list "gateway" "publisher") -}}
  {{- $names = list $root.Values.auth.secret $root.Values.nats.secret -}}
{{- else if eq (index . 1) "nginx" -}}
  {{- $names = list $root.Values.nginx.tls.secret -}}
{{- else -}}
  {{- $names = list $values.tokenSecret -}}
{{- end -}}
{{- range $name := compact $names | uniq -}}
  {{- $secret := lookup "v1" "Secret" $root.Release.Namespace $name -}}
  {{- with $secret -}}
    {{- $_ := set $sums (printf "checksum/%s" $name) (.data | toJson | sha256sum | trunc 16) -}}
  {{- end -}}
{{- end -}}
labels:
  {{- include "sse.labels" . | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict $values.podAnnotations $sums }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Everything of a pod's specification but containers and volumes. Argument: [root, component, user]. */}}
{{- define "sse.pod.spec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := get $root.Values $component -}}
serviceAccountName: {{ include "sse.serviceAccount" $root }}
# Nothing here talks to Kubernetes.
automountServiceAccountToken: false
# Else every Service in the namespace would show up in the environment, next to the settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 2 }}
  runAsGroup: {{ index . 2 }}
  # Secrets are mounted readable for this group only.
  fsGroup: {{ index . 2 }}
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and $root.Values.topologySpread.enabled (has $component (list "gateway" "publisher" "nginx")) }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "sse.selector" (list $root $component) | nindent 8 }}
    # Counts the pods of each version by themselves; else a rolling update would leave them uneven.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{/* What restricted Pod Security asks of a container. */}}
{{- define "sse.container.security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Probes on the services' operations port. Ready means: has reached NATS and caught up. Live means only that the
     process answers: a restart helps neither against NATS being away nor in a drain. */}}
{{- define "sse.container.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: metrics
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* Settings as environment variables, those that are empty left out. Whole numbers as such: YAML's are floats here. */}}
{{- define "sse.env" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ ternary (int64 (ternary $value 0 (kindIs "float64" $value)) | toString) (toString $value) (and (kindIs "float64" $value) (eq (toString (floor $value)) (toString $value))) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings that gateway and publisher share: NATS and tokens. Argument: root. */}}
{{- define "sse.env.common" -}}
- name: NATS_URL
  value: {{ .Values.nats.url | quote }}
{{- with .Values.nats }}
{{- if .credentialsKey }}
- name: NATS_CREDENTIALS_FILE
  value: /run/secrets/nats/{{ .credentialsKey }}
{{- end }}
{{- if .userKey }}
- name: NATS_USER
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .userKey }}
- name: NATS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .passwordKey }}
{{- end }}
{{- if .caKey }}
- name: NATS_CA_FILE
  value: /run/secrets/nats/{{ .caKey }}
{{- end }}
{{- end }}
{{- with .Values.auth }}
- name: AUTH_MODE
  value: {{ .mode | quote }}
{{- if eq .mode "jwt" }}
{{- if .jwksUrl }}
- name: JWT_JWKS_URL
  value: {{ .jwksUrl | quote }}
{{- end }}
{{- if .caKey }}
# Besides the public authorities that Node knows by itself.
- name: NODE_EXTRA_CA_CERTS
  value: /run/secrets/auth/{{ .caKey }}
{{- end }}
{{- if .sharedSecretKey }}
- name: JWT_SECRET
  value: /run/secrets/auth/{{ .sharedSecretKey }}
{{- end }}
{{- if .publicKeyKey }}
- name: JWT_PUBLIC_KEY
  value: /run/secrets/auth/{{ .publicKeyKey }}
{{- end }}
{{- if .issuer }}
- name: JWT_ISSUER
  value: {{ .issuer | quote }}
{{- end }}
{{- if .audience }}
- name: JWT_AUDIENCE
  value: {{ .audience | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secrets' mounts and volumes of gateway and publisher. Argument: root. */}}
{{- define "sse.mounts" -}}
{{- $auth := and (eq .Values.auth.mode "jwt") .Values.auth.secret -}}
{{- $nats := or .Values.nats.credentialsKey .Values.nats.caKey -}}
{{- if or $auth $nats }}
volumeMounts:
  {{- if $auth }}
  - name: auth
    mountPath: /run/secrets/auth
    readOnly: true
  {{- end }}
  {{- if $nats }}
  - name: nats
    mountPath: /run/secrets/nats
    readOnly: true
  {{- end }}
{{- end }}
{{- end -}}

{{- define "sse.volumes" -}}
{{- $auth := and (eq .Values.auth.mode "jwt") .Values.auth.secret -}}
{{- $nats := or .Values.nats.credentialsKey .Values.nats.caKey -}}
{{- if or $auth $nats }}
volumes:
  {{- if $auth }}
  - name: auth
    secret:
      secretName: {{ .Values.auth.secret }}
      defaultMode: 0440
  {{- end }}
  {{- if $nats }}
  - name: nats
    secret:
      secretName: {{ .Values.nats.secret }}
      defaultMode: 0440
  {{- end }}
{{- end }}
{{- end -}}

{{/* One pod after another, and none goes before its successor has been ready for minReadySeconds.
     Argument: [root, component]. */}}
{{- define "sse.strategy" -}}
{{- $values := get (index . 0).Values (index . 1) -}}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxUnavailable: 0
    maxSurge: {{ $values.maxSurge }}
minReadySeconds: {{ $values.minReadySeconds }}
# Must be longer than the line before: ten minutes for a pod to start and get ready.
progressDeadlineSeconds: {{ add $values.minReadySeconds 600 }}
{{- end -}}

{{/* Argument: [root, component]. */}}
{{- define "sse.disruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "sse.fullname" $root }}-{{ $component }}
  labels:
    {{- include "sse.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ (get $root.Values $component).maxUnavailableByEviction }}
  # A pod that is not ready serves nobody: it may always go.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "sse.selector" . | nindent 6 }}
{{- end -}}

{{/* A headless Service: Nginx asks DNS for the pods and chooses the one with the fewest streams itself; behind one
     address it could not. Only ready pods are in it. Argument: [root, component]. */}}
{{- define "sse.headless" -}}
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
    - name: http
      port: {{ eq (index . 1) "publisher" | ternary 3002 3000 }}
      targetPort: http
      appProtocol: http
    - name: metrics
      port: 9100
      targetPort: metrics
{{- end -}}
