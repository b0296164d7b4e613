{{/*
Values that depend on each other. Sums come from here; what can't be right stops the installation with its reason.
A value counts from the service's own settings, then from the common ones, then its default in docs/settings.md.
*/}}

{{/* A setting as text. Argument: [root, service, name, default]. */}}
{{- define "sse.setting" -}}
{{- $root := index . 0 -}}
{{- $own := get (get $root.Values (index . 1)) "settings" | default dict -}}
{{- $value := index . 3 -}}
{{- if hasKey $root.Values.settings (index . 2) }}{{ $value = get $root.Values.settings (index . 2) }}{{ end -}}
{{- if hasKey $own (index . 2) }}{{ $value = get $own (index . 2) }}{{ end -}}
{{- if not (kindIs "invalid" $value) }}{{ $value }}{{ end -}}
{{- end -}}

{{/* The same as a whole number. */}}
{{- define "sse.number" -}}
{{- include "sse.setting" . | float64 | int64 -}}
{{- end -}}

{{/* Whole seconds of a setting in milliseconds, rounded up. The same argument. */}}
{{- define "sse.seconds" -}}
{{- div (add (include "sse.number" . | int64) 999) 1000 -}}
{{- end -}}

{{- define "sse.gateway.leastGrace" -}}
{{- add .Values.gateway.preStopSeconds (include "sse.seconds" (list . "gateway" "DRAIN_WINDOW_MS" 20000)) 15 -}}
{{- end -}}
{{- define "sse.gateway.grace" -}}
{{- .Values.gateway.terminationGracePeriodSeconds | default (include "sse.gateway.leastGrace" .) -}}
{{- end -}}

{{- define "sse.publisher.leastGrace" -}}
{{- $delay := include "sse.seconds" (list . "publisher" "DRAIN_DELAY_MS" 0) -}}
{{- add .Values.publisher.preStopSeconds $delay (include "sse.seconds" (list . "publisher" "DRAIN_TIMEOUT_MS" 10000)) 5 -}}
{{- end -}}
{{- define "sse.publisher.grace" -}}
{{- .Values.publisher.terminationGracePeriodSeconds | default (include "sse.publisher.leastGrace" .) -}}
{{- end -}}

{{- define "sse.nginx.leastGrace" -}}
{{- add .Values.nginx.preStopSeconds .Values.nginx.shutdownSeconds 15 -}}
{{- end -}}
{{- define "sse.nginx.grace" -}}
{{- .Values.nginx.terminationGracePeriodSeconds | default (include "sse.nginx.leastGrace" .) -}}
{{- end -}}

{{- define "sse.check" -}}
{{- range $service := list "gateway" "publisher" "nginx" -}}
  {{- $grace := include (printf "sse.%s.grace" $service) $ | int64 -}}
  {{- $least := include (printf "sse.%s.leastGrace" $service) $ | int64 -}}
  {{- if lt $grace $least -}}
    {{- fail (printf "%s.terminationGracePeriodSeconds is %d, and preStopSeconds and the drain need %d: the pod would be killed in its drain" $service $grace $least) -}}
  {{- end -}}
{{- end -}}
{{- $connections := include "sse.number" (list . "gateway" "MAX_CONNECTIONS" 16000) | int64 -}}
{{- $descriptors := int64 .Values.descriptors -}}
{{- if gt (add $connections 200) $descriptors -}}
  {{- fail (printf "gateway.settings.MAX_CONNECTIONS is %d and needs 200 descriptors more, but descriptors is %d" $connections $descriptors) -}}
{{- end -}}
{{- if gt (int64 .Values.nginx.workerDescriptors) $descriptors -}}
  {{- fail (printf "nginx.workerDescriptors is %d, more than descriptors (%d) allows" (int64 .Values.nginx.workerDescriptors) $descriptors) -}}
{{- end -}}
{{- if le (int64 .Values.nginx.workerDescriptors) (int64 .Values.nginx.workerConnections) -}}
  {{- fail (printf "nginx.workerDescriptors is %d, not more than nginx.workerConnections (%d)" (int64 .Values.nginx.workerDescriptors) (int64 .Values.nginx.workerConnections)) -}}
{{- end -}}
{{- /* proxy_read_timeout of nginx/stream.conf.template; a test compares. */ -}}
{{- $readTimeoutMs := 75000 -}}
{{- $heartbeat := include "sse.number" (list . "gateway" "HEARTBEAT_INTERVAL_MS" 15000) | int64 -}}
{{- if ge (mul $heartbeat 2) $readTimeoutMs -}}
  {{- fail (printf "gateway.settings.HEARTBEAT_INTERVAL_MS is %d; Nginx ends a stream that is silent for %d ms, so it must be below half of that" $heartbeat $readTimeoutMs) -}}
{{- end -}}
{{- $maxAge := include "sse.number" (list . "gateway" "MAX_AGE_MS" 600000) | int64 -}}
{{- if le (mul (int64 .Values.nginx.shutdownSeconds) 1000) $maxAge -}}
  {{- fail (printf "nginx.shutdownSeconds is %d, not more than gateway.settings.MAX_AGE_MS (%d ms): an Nginx that is replaced would cut streams all at once" (int64 .Values.nginx.shutdownSeconds) $maxAge) -}}
{{- end -}}
{{- $drain := include "sse.seconds" (list . "gateway" "DRAIN_WINDOW_MS" 20000) | int64 -}}
{{- if lt (int64 .Values.gateway.minReadySeconds) $drain -}}
  {{- fail (printf "gateway.minReadySeconds is %d, less than the drain window (%d s): the streams of several pods would move at once" (int64 .Values.gateway.minReadySeconds) $drain) -}}
{{- end -}}
{{- $auth := .Values.auth -}}
{{- if eq $auth.mode "jwt" -}}
  {{- $sources := len (compact (list $auth.jwksUrl $auth.sharedSecretKey $auth.publicKeyKey)) -}}
  {{- if ne $sources 1 -}}
    {{- fail (printf "auth.mode is jwt: give one of auth.jwksUrl, auth.sharedSecretKey and auth.publicKeyKey (%d are given), or set auth.mode to off" $sources) -}}
  {{- end -}}
  {{- if and (or $auth.sharedSecretKey $auth.publicKeyKey) (not $auth.secret) -}}
    {{- fail "auth.secret is empty: name the existing Secret that holds auth.sharedSecretKey or auth.publicKeyKey" -}}
  {{- end -}}
  {{- if and $auth.caKey (not (and $auth.jwksUrl $auth.secret)) -}}
    {{- fail "auth.caKey is a key of auth.secret, for auth.jwksUrl: give all three" -}}
  {{- end -}}
  {{- range $service := list "prober" "demo" -}}
    {{- $values := get $.Values $service -}}
    {{- if and $values.enabled (not $values.tokenSecret) -}}
      {{- fail (printf "%s.tokenSecret is empty: with auth.mode jwt it needs a token" $service) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $nats := .Values.nats -}}
{{- if and (or $nats.credentialsKey $nats.userKey $nats.passwordKey $nats.caKey) (not $nats.secret) -}}
  {{- fail "nats.secret is empty: name the existing Secret that holds the keys given under nats" -}}
{{- end -}}
{{- if ne (empty $nats.userKey) (empty $nats.passwordKey) -}}
  {{- fail "nats.userKey and nats.passwordKey belong together" -}}
{{- end -}}
{{- if gt (int64 .Values.gateway.autoscaling.connectionsPerPod) $connections -}}
  {{- fail (printf "gateway.autoscaling.connectionsPerPod is %d, more than MAX_CONNECTIONS (%d): it would never scale up" (int64 .Values.gateway.autoscaling.connectionsPerPod) $connections) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
  {{- fail "ingress.host is empty" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
  {{- fail "httpRoute.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- end -}}
