import type { Logger, Random } from "../../base/index.ts";
import {
  DnsResponder,
  HostLookup,
  podDnsForwarder,
  readResolverFile,
  shuffled,
  type FoundName,
} from "../../dataplane/dns/index.ts";
import type { DnsTransport } from "../../net/dns/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import { hasFamilyOf, type Service, type WorkloadInfo } from "../state/model.ts";
import type { DnsMetrics } from "./dns-metrics.ts";

export interface DnsResolverOptions {
  readonly state: MeshState;
  readonly network: string;
  /** The cluster's domain, for example `cluster.local`. */
  readonly domain: string;
  /** Name servers for queries that the mesh cannot answer, in order of preference. */
  readonly nameservers: readonly string[];
  readonly log: Logger;
  readonly random: Random;
  readonly metrics?: DnsMetrics;
}

/** The maximum number of entries in the cache of endpoints' addresses, and their lifetime. */
const maxLookedUp = 10_000;
const lookedUpMs = 5000;

/**
 * Answers queries for the mesh's services from the WDS state. Forwards all other queries to the name servers of the
 * pod's resolver.
 */
export class DnsResolver {
  readonly #options: DnsResolverOptions;
  readonly #responder: DnsResponder;
  readonly #lookup: HostLookup;
  readonly #looked = new Map<string, { readonly addresses: Promise<readonly string[]>; readonly untilMs: number }>();

  constructor(options: DnsResolverOptions) {
    this.#options = options;
    const forwarder = podDnsForwarder(options);
    this.#responder = new DnsResponder(forwarder, options.log);
    // The host is already a full name, so no search domains apply.
    this.#lookup = new HostLookup({ forwarder, file: { search: [], dotsOfFullNames: 0 } });
  }

  /**
   * Returns the addresses of an endpoint that has only a host name, or an empty list if the name does not exist.
   * Rejects if no name server answers. `pod` is the pod that connects to the endpoint.
   */
  async addressesOf(host: string, pod: WorkloadInfo, nowMs: number): Promise<readonly string[]> {
    const known = this.#looked.get(host);
    if (known !== undefined && known.untilMs > nowMs) return await known.addresses;
    const addresses = this.#lookup.lookUp(host, clientOf(pod)).then((found) => found.addresses);
    if (this.#looked.size >= maxLookedUp) this.#looked.delete(this.#looked.keys().next().value ?? "");
    this.#looked.delete(host);
    this.#looked.set(host, { addresses, untilMs: nowMs + lookedUpMs });
    // Forget a failed look-up, so that the next query tries again.
    addresses.catch(() => this.#looked.delete(host));
    return await addresses;
  }

  /** Returns the response as a DNS message, or undefined if the input is not a query. */
  async answer(query: Buffer, pod: WorkloadInfo, transport: DnsTransport): Promise<Buffer | undefined> {
    const { metrics, state } = this.#options;
    return await this.#responder.answer(query, transport, (name) => this.#find(name, pod.namespace), {
      observer: metrics?.of(state.workloadByPod(pod), transport),
      client: clientOf(pod),
    });
  }

  /**
   * Looks up the name as it is, and then without the search domains that the pod's resolver may have appended. The
   * longest matching search domain is removed first. If only a shorter search domain is removed, the rest may not be
   * the name that the pod requested, so {@link #isOwn} must accept the service. For example, the resolver turns
   * `x.example` into `x.example.shop.svc.cluster.local`. Without `.svc.cluster.local`, the rest is `x.example.shop`,
   * which must not match a ServiceEntry of another namespace.
   */
  #find(name: string, namespace: string): FoundName | undefined {
    const direct = this.#byName(name, namespace);
    if (direct !== undefined) return { addresses: this.#addresses(direct) };
    const { domain } = this.#options;
    const suffixes = [`.${namespace}.svc.${domain}`, `.svc.${domain}`, `.${domain}`];
    for (const [shorter, suffix] of suffixes.filter((suffix) => name.endsWith(suffix)).entries()) {
      const alias = name.slice(0, -suffix.length);
      const service = this.#byName(alias, namespace);
      if (service === undefined || (shorter > 0 && !this.#isOwn(service, namespace))) continue;
      const addresses = this.#addresses(service);
      return service.hostname.startsWith("*") ? { addresses } : { addresses, alias };
    }
    return undefined;
  }

  /**
   * Whether the service belongs to the pod's namespace, or its host name belongs to the service's own namespace, like
   * the name of a Kubernetes Service.
   */
  #isOwn(service: Service, namespace: string): boolean {
    return (
      service.namespace === namespace || service.hostname.endsWith(`.${service.namespace}.svc.${this.#options.domain}`)
    );
  }

  /**
   * Returns the service with this name, or with a full name for which it may be short. As in upstream, a ServiceEntry
   * of the pod's own namespace comes first. A ServiceEntry of another namespace comes last, and cannot have the short
   * name of a Service or of a headless Service's pod. Otherwise the host `web.shop` would get the traffic to
   * `web.shop.svc.cluster.local`.
   */
  #byName(name: string, namespace: string): Service | undefined {
    const literal = this.#byHost(name, namespace);
    if (literal?.namespace === namespace) return literal;
    const fullNames = this.#fullNames(name, namespace);
    for (const host of fullNames) {
      const found = this.#byHost(host, namespace);
      if (found !== undefined) return found;
    }
    const isTaken = fullNames.some((host) => this.#kubernetesService(host) !== undefined);
    return isTaken || this.#isPodName(name, namespace) ? undefined : literal;
  }

  /** Whether the name is a short name of a headless Service's pod, such as `db-0.db`. */
  #isPodName(name: string, namespace: string): boolean {
    const service = name.slice(name.indexOf(".") + 1);
    return this.#fullNames(service, namespace).some((host) => this.#kubernetesService(host)?.vips.length === 0);
  }

  /** The Kubernetes Service with this full name, even if the pod's namespace cannot see it. */
  #kubernetesService(host: string): Service | undefined {
    const services = `.svc.${this.#options.domain}`;
    const [name, namespace, more] = host.endsWith(services) ? host.slice(0, -services.length).split(".") : [];
    return name === undefined || namespace === undefined || more !== undefined
      ? undefined
      : this.#options.state.serviceOfNamespace(host, namespace);
  }

  /**
   * Returns the full names for which a name may be short: `web`, `web.shop` and `web.shop.svc` are short for a
   * Kubernetes Service.
   *
   * A pod's resolver first requests `web.shop` as `web.shop.<own namespace>.svc.cluster.local`. As in upstream ztunnel,
   * that query is answered at once, so that the pod need not wait until a name server reports that the name does not
   * exist. Names such as `web-0.web` are short for names of a StatefulSet's pods. As in upstream, only a ServiceEntry
   * can have such a host. The cluster's name server resolves the names of the pods themselves.
   */
  #fullNames(name: string, namespace: string): readonly string[] {
    const { domain } = this.#options;
    const [local, services] = [`${name}.${namespace}.svc.${domain}`, `${name}.svc.${domain}`];
    const qualified = name.endsWith(".svc") ? [`${name}.${domain}`] : [];
    switch (name.split(".").length) {
      case 1:
        return [local];
      case 2:
        return [services, local];
      case 3:
        return [...qualified, services];
      case 4:
        return qualified;
      default:
        return [];
    }
  }

  /** Returns the service with this host name, or else the service with the most specific wildcard that matches it. */
  #byHost(host: string, namespace: string): Service | undefined {
    const exact = this.#answerable(host, namespace);
    if (exact !== undefined) return exact;
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      const found = this.#answerable(`*${host.slice(dot)}`, namespace);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * Returns the service if it has addresses or a host name in the cluster's domain. As in upstream, the answer for a
   * Kubernetes Service without addresses has the addresses of its endpoints.
   */
  #answerable(hostname: string, namespace: string): Service | undefined {
    const { state, domain } = this.#options;
    const service = state.serviceByHostname(hostname, namespace);
    if (service === undefined || this.#isForeign(service, namespace)) return undefined;
    return service.vips.length > 0 || service.hostname.endsWith(`.svc.${domain}`) ? service : undefined;
  }

  /**
   * Whether a service of another namespace claims a host in the cluster's domain to which it has no right. Names below
   * a namespace's domain belong to that namespace. A wildcard of another namespace, such as `*.shop.svc.cluster.local`
   * or `*.cluster.local`, must not match such names. A resolver first appends its search domains to every name. So an
   * entry with such a wildcard, or with the host `api.github.com.shop.svc.cluster.local`, would get traffic to hosts
   * outside the cluster. An entry may have the name of a Service that does not exist.
   */
  #isForeign({ hostname, namespace: owner }: Service, namespace: string): boolean {
    if (owner === namespace) return false;
    const { domain } = this.#options;
    const services = `.svc.${domain}`;
    if (hostname.startsWith("*")) {
      const suffix = hostname.slice(1);
      if (services.endsWith(suffix)) return true;
      return suffix.endsWith(services) && suffix.slice(0, -services.length).split(".").at(-1) !== owner;
    }
    if (!hostname.endsWith(`.${domain}`)) return false;
    if (!hostname.endsWith(services)) return hostname.slice(0, -domain.length - 1).includes(".");
    const labels = hostname.slice(0, -services.length).split(".");
    if (labels.at(-1) === owner) return false;
    return labels.length !== 2 || this.#kubernetesService(hostname) !== undefined;
  }

  /**
   * Returns the service's addresses in this network. If it has none, returns the addresses of its healthy endpoints,
   * without addresses of a family that the service itself does not have.
   */
  #addresses(service: Service): readonly string[] {
    const { state, network, random } = this.#options;
    const vips = firstOf(service.vips, (vip) =>
      vip.network === network && vip.length === undefined ? [vip.address] : [],
    );
    if (vips.length > 0) return shuffled(vips, random);
    const endpoints = firstOf(state.endpoints(service).values(), ({ workload }) =>
      workload.status === "Healthy" ? workload.workloadIps.filter((address) => hasFamilyOf(service, address)) : [],
    );
    return shuffled(endpoints, random);
  }
}

/**
 * The maximum number of addresses in an answer. More addresses do not fit into a DNS message, because each IPv6 address
 * takes 16 bytes. The limit also bounds the work for one query, because all pods of the node share this process.
 */
const maxAddresses = 4_096;

/** The key under which the forwarder counts a pod's waiting queries. */
function clientOf({ namespace, name }: WorkloadInfo): string {
  return `${namespace}/${name}`;
}

function firstOf<Item>(items: Iterable<Item>, addressesOf: (item: Item) => readonly string[]): string[] {
  const addresses: string[] = [];
  for (const item of items) {
    addresses.push(...addressesOf(item));
    if (addresses.length >= maxAddresses) break;
  }
  return addresses;
}

/** Returns the name servers of a resolv.conf, or an empty list if the file cannot be read. */
export async function readNameservers(path: string): Promise<readonly string[]> {
  return (await readResolverFile(path)).nameservers;
}
