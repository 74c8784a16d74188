/** The namespace in which the corpus writes, and the paths of its kinds. */
export const namespace = "corpus";

const group =
  (name: string, version: string) =>
  (plural: string, inNamespace = namespace): string =>
    `/apis/${name}/${version}/namespaces/${inNamespace}/${plural}`;

export const core = (plural: string, inNamespace = namespace): string => `/api/v1/namespaces/${inNamespace}/${plural}`;
export const apps = group("apps", "v1");
export const batch = group("batch", "v1");
export const networking = group("networking.k8s.io", "v1");
export const policy = group("policy", "v1");
export const autoscaling = group("autoscaling", "v2");
export const rbac = group("rbac.authorization.k8s.io", "v1");
export const discovery = group("discovery.k8s.io", "v1");
export const coordination = group("coordination.k8s.io", "v1");

export function configMap(name: string, data: unknown = {}, metadata: object = {}): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...metadata }, data };
}

export function deployment(name: string, spec: object = {}, container: object = {}): object {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: "main", image: "registry.example/main:1", ...container }] },
      },
      ...spec,
    },
  };
}

export function pod(name: string, spec: object = {}, metadata: object = {}): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...metadata },
    spec: { containers: [{ name: "main", image: "registry.example/main:1" }], ...spec },
  };
}

export function service(name: string, spec: object): object {
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec };
}
