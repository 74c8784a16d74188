import type { Logger } from "../../base/index.ts";
import {
  DnsForwarder,
  DnsResponder,
  HostLookup,
  readResolverFile,
  type DnsTransport,
  type FoundName,
} from "../../dataplane/dns/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { Service, WorkloadInfo } from "../state/model.ts";
import type { DnsMetrics } from "./dns-metrics.ts";

export interface DnsResolverOptions {
  readonly state: MeshState;
  readonly network: string;
  /** `cluster.local`. */
  readonly domain: string;
  /** Where everything goes that the mesh does not know, best first. */
  readonly nameservers: readonly string[];
  readonly log: Logger;
  /** Undefined: queries are not counted. */
  readonly metrics?: DnsMetrics;
}

/** Endpoints' names whose addresses are remembered, and for how long. */
const maxLookedUp = 10_000;
const lookedUpMs = 5000;

/** Answers for the mesh's services from the WDS state; the rest goes to the pod's own kind of resolver. */
export class DnsResolver {
  readonly #options: DnsResolverOptions;
  readonly #responder: DnsResponder;
  readonly #lookup: HostLookup;
  readonly #looked = new Map<string, { readonly addresses: Promise<readonly string[]>; readonly untilMs: number }>();

  constructor(options: DnsResolverOptions) {
    this.#options = options;
    const forwarder = new DnsForwarder(options);
    this.#responder = new DnsResponder(forwarder, options.log);
    // A host is written in full.
    this.#lookup = new HostLookup(forwarder, { search: [], dotsOfFullNames: 0 });
  }

  /** The addresses of an endpoint that is known by a name alone; none when nobody knows it. Rejects when no name server answers. */
  async addressesOf(host: string, nowMs: number): Promise<readonly string[]> {
    const known = this.#looked.get(host);
    if (known !== undefined && known.untilMs > nowMs) return await known.addresses;
    const addresses = this.#lookup.addresses(host);
    if (this.#looked.size >= maxLookedUp) this.#looked.delete(this.#looked.keys().next().value ?? "");
    this.#looked.delete(host);
    this.#looked.set(host, { addresses, untilMs: nowMs + lookedUpMs });
    // What failed is asked again.
    addresses.catch(() => this.#looked.delete(host));
    return await addresses;
  }

  /** The answer to a query as bytes; undefined when it is no query at all. */
  async answer(query: Buffer, pod: WorkloadInfo, transport: DnsTransport): Promise<Buffer | undefined> {
    const { metrics, state } = this.#options;
    return await this.#responder.answer(
      query,
      transport,
      (name) => this.#find(name, pod.namespace),
      metrics?.of(state.workloadByPod(pod), transport),
    );
  }

  /** By the name as it is, then without the search domains that a pod's resolver may have put behind it. */
  #find(name: string, namespace: string): FoundName | undefined {
    const { domain } = this.#options;
    const direct = this.#byName(name, namespace);
    if (direct !== undefined && this.#isResolvedElsewhere(direct)) return undefined;
    if (direct !== undefined) return { addresses: this.#addresses(direct) };
    for (const suffix of [`.${namespace}.svc.${domain}`, `.svc.${domain}`, `.${domain}`]) {
      if (!name.endsWith(suffix)) continue;
      const alias = name.slice(0, -suffix.length);
      // A bare word is a service's short name, and not there, or the direct look-up had found it.
      const service = alias.includes(".") ? this.#byName(alias, namespace) : undefined;
      if (service !== undefined) return { addresses: this.#addresses(service), alias };
    }
    return undefined;
  }

  #byName(name: string, namespace: string): Service | undefined {
    const { state } = this.#options;
    const exact = state.serviceByHostname(name, namespace);
    if (exact !== undefined) return exact;
    const labels = name.split(".");
    for (let skip = 1; skip < labels.length; skip += 1) {
      const service = state.serviceByHostname(`*.${labels.slice(skip).join(".")}`, namespace);
      if (service !== undefined) return service;
    }
    return undefined;
  }

  /** As upstream: of what has no address only Kubernetes' own services are answered for, by their endpoints. */
  #isResolvedElsewhere({ vips, hostname }: Service): boolean {
    return vips.length === 0 && !hostname.endsWith(`.svc.${this.#options.domain}`);
  }

  /** A service's addresses; of a headless one those of its healthy endpoints. */
  #addresses(service: Service): readonly string[] {
    const { state, network } = this.#options;
    const vips = service.vips
      .filter((vip) => vip.network === network && vip.length === undefined)
      .map((vip) => vip.address);
    if (vips.length > 0) return vips;
    return [...state.endpoints(service).values()]
      .filter((one) => one.workload.status === "Healthy")
      .flatMap((one) => one.workload.workloadIps);
  }
}

/** The name servers of a resolv.conf; empty when it cannot be read. */
export async function readNameservers(path: string): Promise<readonly string[]> {
  return (await readResolverFile(path)).nameservers;
}
