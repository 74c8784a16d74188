import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { meshKey, type Labels, type MeshSettings } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { podsByLabel, podsSelectedBy } from "./selected-pods.ts";
import { identityOf, takesIstioTls } from "./service-endpoint-model.ts";
import { everyone, getEndpoints, type ServiceEndpoints } from "./service-endpoints.ts";
import { registeredService, type ServiceModel, type ServiceRegistry } from "./service-model.ts";

interface IdentifiedService {
  readonly registry: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly selector: Labels;
  readonly ports: readonly { readonly port: number }[];
  readonly subjectAltNames: readonly string[];
}

/** The identities that a client accepts from a service's servers. Pods that are not ready count, too. */
export function identitiesOf(
  service: IdentifiedService,
  mesh: MeshSettings,
  endpoints: ServiceEndpoints,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly string[] {
  const selected = podsSelectedBy(podsByLabel(inputs), service.namespace, service.selector, reader).map((pod) =>
    identityOf(mesh, pod.namespace, pod.serviceAccount),
  );
  const reached = service.ports.flatMap((port) =>
    getEndpoints(endpoints, service, port.port, reader).map((endpoint) => endpoint.identity),
  );
  const known = [...selected, ...reached, ...service.subjectAltNames].filter((identity) => identity !== "");
  return [...new Set(known.flatMap((identity) => aliasedIdentities(identity, mesh)))].sort();
}

const spiffePrefix = "spiffe://";

/** The identity in each trust domain of the mesh. The aliases of a trust domain identify the same workloads. */
function aliasedIdentities(identity: string, { trustDomain, trustDomainAliases }: MeshSettings): readonly string[] {
  if (trustDomainAliases.length === 0 || !identity.startsWith(spiffePrefix)) return [identity];
  const [domain = "", ...rest] = identity.slice(spiffePrefix.length).split("/");
  const domains = [trustDomain, ...trustDomainAliases];
  return domains.includes(domain) ? domains.map((alias) => [`${spiffePrefix}${alias}`, ...rest].join("/")) : [identity];
}

/** What clusters depend on of a service's servers. A change of endpoints seldom changes it. */
export interface ServiceServers {
  readonly identities: readonly string[];
  /** Ports all of whose endpoints accept Istio's mutual TLS. Those without endpoints are left out. */
  readonly mutualTlsPorts: readonly number[];
  /** Ports all of whose endpoints are reached through HBONE. Those without endpoints are left out. */
  readonly tunnelledPorts: readonly number[];
}

interface RegisteredKey {
  readonly registry: ServiceModel["registry"];
  /** The service as `namespace/hostname`. */
  readonly key: string;
}

interface ServerSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
}

/**
 * The servers of the requested services. No others are computed, so that a change of endpoints which affects no cluster
 * causes no work.
 */
export class ServersOfServices {
  readonly #servers: Collection<ServiceServers>;

  /** Follows the requests in `served`, of which several may name the same service. */
  constructor(
    graph: CollectionGraph,
    served: Collection<{ readonly service: RegisteredKey }>,
    { inputs, registry, endpoints }: ServerSources,
  ) {
    const services = graph.flatten("served-services", served, ({ service }) => [service], serversKey);
    this.#servers = graph.derive("service-servers", services, (wanted, reader, key) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const service = registeredService(wanted, registry, reader);
      if (mesh === undefined || service === undefined) return [];
      const ports = service.ports.map(({ port }) => ({ port, found: getEndpoints(endpoints, service, port, reader) }));
      const portsWhere = (holds: Parameters<typeof everyone>[1]): readonly number[] =>
        ports.flatMap(({ port, found }) => (everyone(found, holds) ? [port] : []));
      return [
        [
          key,
          {
            identities: identitiesOf(service, mesh, endpoints, inputs, reader),
            mutualTlsPorts: portsWhere(({ mutualTls }) => mutualTls),
            tunnelledPorts: portsWhere((endpoint) => endpoint.captured && !takesIstioTls(endpoint)),
          },
        ],
      ];
    });
  }

  get(service: RegisteredKey, reader: CollectionReader): ServiceServers {
    return reader.get(this.#servers, serversKey(service)) ?? nobody;
  }
}

const nobody: ServiceServers = { identities: [], mutualTlsPorts: [], tunnelledPorts: [] };

function serversKey({ registry, key }: RegisteredKey): string {
  return `${registry} ${key}`;
}
