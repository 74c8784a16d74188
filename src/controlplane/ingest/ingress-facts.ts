import type { Ingress } from "../../api/kubernetes/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { IngressFacts } from "../model/facts.ts";

const classAnnotation = "kubernetes.io/ingress.class";

export function ingressFacts({ metadata, spec = {} }: Ingress, revision: string): IngressFacts | undefined {
  const wanted = metadata.labels?.[istioLabels.revision];
  if (wanted !== undefined && wanted !== revision) return undefined;
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    createdAt: metadata.creationTimestamp ?? "",
    annotatedClass: metadata.annotations?.[classAnnotation],
    className: spec.ingressClassName,
    tls: (spec.tls ?? []).map(({ hosts = [], secretName = "" }) => ({ hosts, secretName })),
    rules: (spec.rules ?? []).map(({ host = "", http }) => ({
      host: host === "" ? "*" : host,
      paths: (http?.paths ?? []).map(({ path = "", pathType = "ImplementationSpecific", backend }) => ({
        path,
        pathType,
        service: backend?.service?.name,
        port: backend?.service?.port?.number ?? backend?.service?.port?.name,
      })),
    })),
  };
}
