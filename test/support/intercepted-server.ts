// An application that describes each request, and its sidecar's interception mode. Shared by the tests of the mode
// TPROXY.

/** A Deployment and a Service on port 80. The pod has a second container `curl`, for requests from the pod itself. */
export const interceptedServer = (
  namespace: string,
  name: string,
  mode: "REDIRECT" | "TPROXY",
): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata:
      labels: {app: ${name}}
      annotations: {sidecar.istio.io/interceptionMode: ${mode}}
    spec:
      containers:
      - name: ${name}
        image: k8s.gcr.io/echoserver:1.10
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
      - name: curl
        image: curlimages/curl
        command: [/bin/sleep, infinity]
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 80, targetPort: 8080}]}`;

export function clientAddress(description: string): string | undefined {
  return /^\tclient_address=(.*)$/m.exec(description)?.[1];
}
