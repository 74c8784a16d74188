export interface ConfigTemplate {
  readonly title: string;
  readonly yaml: (namespace: string) => string;
}

const head = (apiVersion: string, kind: string, name: string, namespace: string): string => `apiVersion: ${apiVersion}
kind: ${kind}
metadata:
  name: ${name}
  namespace: ${namespace}
`;

export const configTemplates: readonly ConfigTemplate[] = [
  {
    title: "HTTPRoute with weights",
    yaml: (namespace) => `${head("gateway.networking.k8s.io/v1", "HTTPRoute", "reviews", namespace)}spec:
  parentRefs:
    - group: ""
      kind: Service
      name: reviews
      port: 9080
  rules:
    - backendRefs:
        - name: reviews-v1
          port: 9080
          weight: 90
        - name: reviews-v2
          port: 9080
          weight: 10
`,
  },
  {
    title: "VirtualService with a timeout",
    yaml: (namespace) => `${head("networking.istio.io/v1", "VirtualService", "reviews", namespace)}spec:
  hosts:
    - reviews
  http:
    - timeout: 3s
      route:
        - destination:
            host: reviews
`,
  },
  {
    title: "DestinationRule with subsets",
    yaml: (namespace) => `${head("networking.istio.io/v1", "DestinationRule", "reviews", namespace)}spec:
  host: reviews
  subsets:
    - name: v1
      labels:
        version: v1
    - name: v2
      labels:
        version: v2
`,
  },
  {
    title: "AuthorizationPolicy",
    yaml: (namespace) => `${head("security.istio.io/v1", "AuthorizationPolicy", "reviews-callers", namespace)}spec:
  selector:
    matchLabels:
      app: reviews
  action: ALLOW
  rules:
    - from:
        - source:
            principals:
              - cluster.local/ns/${namespace}/sa/productpage
`,
  },
  {
    title: "PeerAuthentication, strict",
    yaml: (namespace) => `${head("security.istio.io/v1", "PeerAuthentication", "default", namespace)}spec:
  mtls:
    mode: STRICT
`,
  },
];
