import type { BackendObjectReference } from "../../api/gateway/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { hostnameOf, type MeshSettings } from "./facts.ts";
import type { Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { isGranted } from "./reference-grant.ts";

/** Where a backend reference leads: a cluster, or why it leads nowhere. */
export type ResolvedBackend = { readonly cluster: string; readonly host: string; readonly port: number } | { readonly fault: NonNullable<Verdict> };

export function clusterName(port: number, host: string): string {
  return `outbound|${port}||${host}`;
}

/** A reference into another namespace counts only with a ReferenceGrant there. */
export function resolveBackend(reference: BackendObjectReference, routeNamespace: string, mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader, kind = "HTTPRoute"): ResolvedBackend {
  const namespace = reference.namespace ?? routeNamespace;
  const fault = (reason: string, message: string): ResolvedBackend => ({ fault: { reason, message } });
  if (reference.kind !== "Service" || reference.group !== "") return fault("InvalidKind", `unsupported backendRef: ${reference.group}/${reference.kind}`);
  if (!isGranted({ from: { kind, namespace: routeNamespace }, to: { kind: "Service", namespace, name: reference.name } }, inputs, reader)) {
    return fault("RefNotPermitted", `backendRef ${reference.name}/${namespace} not accessible to a route in namespace "${routeNamespace}" (missing a ReferenceGrant?)`);
  }
  const service = reader.get(inputs.services, `${namespace}/${reference.name}`);
  const host = hostnameOf({ namespace, name: reference.name }, mesh.domain);
  if (service === undefined) return fault("BackendNotFound", `backend(${host}) not found`);
  const port = reference.port ?? 0;
  if (!service.ports.some((candidate) => candidate.port === port)) return fault("BackendNotFound", `backend(${host}) has no port ${port}`);
  return { cluster: clusterName(port, host), host, port };
}
