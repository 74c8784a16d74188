import type { BackendObjectReference } from "../../../api/gateway/index.ts";
import { defaultMultiClusterApi } from "../../../api/multicluster/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { factsKey, hostnameOf, type MeshSettings } from "../facts.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { clusterSetHost } from "../service/imported-services.ts";
import { serviceSession, type ServiceSession } from "../service/service-session.ts";
import { isGranted } from "./reference-grant.ts";

/** The cluster for a backend reference, or why there is none. */
export type ResolvedBackend =
  | {
      readonly cluster: string;
      readonly host: string;
      readonly port: number;
      readonly session?: ServiceSession;
    }
  | { readonly fault: NonNullable<Verdict> };

export interface BackendContext {
  readonly mesh: MeshSettings;
  readonly inputs: MeshInputs;
  readonly reader: CollectionReader;
  readonly namespace: string;
  readonly kind: string;
  /**
   * Whether references to other namespaces need a grant. Routes for Services need none, because their clients may
   * connect anywhere.
   */
  readonly needsGrant: boolean;
}

const importGroup = defaultMultiClusterApi.group;

function clusterName(port: number, host: string): string {
  return `outbound|${port}||${host}`;
}

export function resolveBackend(reference: BackendObjectReference, context: BackendContext): ResolvedBackend {
  const { mesh, inputs, reader } = context;
  const namespace = reference.namespace ?? context.namespace;
  if (reference.kind === "Hostname" && reference.group === "networking.istio.io")
    return resolveHostname(reference, context);
  const isImport =
    reference.kind === "ServiceImport" && reference.group === (mesh.multiClusterServices?.group ?? importGroup);
  if (!isImport && (reference.kind !== "Service" || (reference.group !== "" && reference.group !== "core"))) {
    return fault(
      "InvalidKind",
      `referencing unsupported backendRef: group "${reference.group}" kind "${reference.kind}"`,
    );
  }
  const name = { namespace, name: reference.name };
  const refused = missingGrant(name, context);
  if (refused !== undefined) return refused;
  // If imported services have no host in clusterset.local, use the Service's own host, which then reaches all clusters.
  const host =
    isImport && mesh.multiClusterServices?.host === true ? clusterSetHost(name) : hostnameOf(name, mesh.domain);
  const service = reader.get(inputs.services, `${namespace}/${reference.name}`);
  if (service?.type === "ExternalName") return resolveAlias(service.externalName, reference, context);
  return service === undefined
    ? fault("BackendNotFound", `backend(${host}) not found`)
    : leadTo(
        host,
        service.ports.map(({ port }) => port),
        reference.port,
        serviceSession(service, mesh),
      );
}

/**
 * Resolves an ExternalName Service, which is another name of a host and has no cluster. The host needs the same grant
 * as if the route named it, so that an alias leads nowhere else.
 */
function resolveAlias(host: string, reference: BackendObjectReference, context: BackendContext): ResolvedBackend {
  const { namespace: _, ...rest } = reference;
  return resolveHostname({ ...rest, group: "networking.istio.io", kind: "Hostname", name: host }, context);
}

/** The fault of a reference that no ReferenceGrant of the target's namespace allows. */
function missingGrant(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  { needsGrant, kind, namespace: own, inputs, reader }: BackendContext,
): ResolvedBackend | undefined {
  const reference = { from: { kind, namespace: own }, to: { kind: "Service" as const, namespace, name } };
  if (!needsGrant || isGranted(reference, inputs, reader)) return undefined;
  return fault(
    "RefNotPermitted",
    `backendRef ${name}/${namespace} not accessible to a ${kind} in namespace "${own}" (missing a ReferenceGrant?)`,
  );
}

/**
 * Resolves a host of the mesh: that of a ServiceEntry, or the full name of a Service. Every name of a Service needs the
 * same grant as the Service itself, even if the Service is of another cluster or imported.
 */
function resolveHostname(reference: BackendObjectReference, context: BackendContext): ResolvedBackend {
  const { mesh, inputs, reader } = context;
  const host = reference.name.toLowerCase();
  if (reference.namespace !== undefined)
    return fault("InvalidDestination", "namespace may not be set with Hostname type");
  const byHost = inputs.serviceEntries.index("gateway-host", (entry) =>
    entry.spec.hosts.map((name) => name.toLowerCase()),
  );
  const entries = reader.lookup(byHost, host);
  const ports = entries.flatMap((entry) => entry.spec.ports.map(({ number }) => number));
  const named = nameInHost(host, mesh);
  const refused = named === undefined ? undefined : missingGrant(named, context);
  if (refused !== undefined) return refused;
  const service =
    named === undefined || host === clusterSetHost(named) ? undefined : reader.get(inputs.services, factsKey(named));
  // As in upstream Istio, an alias of an alias leads nowhere.
  const own = service?.type === "ExternalName" ? [] : (service?.ports.map(({ port }) => port) ?? []);
  const known = [...ports, ...own];
  return known.length === 0
    ? fault("BackendNotFound", `backend(${host}) not found`)
    : leadTo(host, known, reference.port, serviceSession(service ?? entries[0], mesh));
}

function nameInHost(
  host: string,
  { domain, multiClusterServices }: MeshSettings,
): { readonly namespace: string; readonly name: string } | undefined {
  const [name = "", namespace = ""] = host.split(".");
  const named = { namespace, name };
  const isNamed =
    host === hostnameOf(named, domain).toLowerCase() ||
    (multiClusterServices?.host === true && host === clusterSetHost(named));
  return isNamed ? named : undefined;
}

function leadTo(
  host: string,
  ports: readonly number[],
  port: number | undefined,
  session: ServiceSession | undefined,
): ResolvedBackend {
  if (port === undefined) return fault("InvalidDestination", "port is required in backendRef");
  return ports.includes(port)
    ? { cluster: clusterName(port, host), host, port, ...(session === undefined ? {} : { session }) }
    : fault("BackendNotFound", `backend(${host}) has no port ${port}`);
}

function fault(reason: string, message: string): ResolvedBackend {
  return { fault: { reason, message } };
}
