import type { Random } from "../../base/index.ts";
import { shuffled, type FoundName } from "../../dataplane/dns/index.ts";
import type { NameTable } from "../../wire/discovery/index.ts";

export interface PodNames {
  readonly namespace: string;
  /** `default.svc.cluster.local`. */
  readonly domain: string;
  /** The search domains of the pod's resolver, in its order. */
  readonly search: readonly string[];
}

/** A name table, indexed by all names that a service has in this pod. */
export class NameIndex {
  readonly #hosts = new Map<string, readonly string[]>();
  /** The names of Kubernetes' Services without the cluster's domain, except those without a namespace. */
  readonly #shortNames = new Set<string>();
  readonly #pod: PodNames;
  readonly #random: Random;

  constructor(table: NameTable, pod: PodNames, random: Random) {
    this.#pod = pod;
    this.#random = random;
    const domain = pod.domain.startsWith(`${pod.namespace}.`) ? pod.domain.slice(pod.namespace.length + 1) : pod.domain;
    // Names of Services come last and so replace equal hosts of entries, which any namespace may write.
    const rankOf = ({ registry }: NameTable["table"][string]): number => Number(registry === "Kubernetes");
    const entries = Object.entries(table.table).sort(([, left], [, right]) => rankOf(left) - rankOf(right));
    for (const [hostname, { ips, registry, shortname, namespace, altHosts }] of entries) {
      const names = [hostname];
      // In another domain, short names would belong to another cluster.
      if (registry === "Kubernetes" && domain !== "" && hostname.endsWith(domain)) {
        const short = [`${shortname}.${namespace}`, `${shortname}.${namespace}.${domain.split(".")[0] ?? ""}`];
        for (const name of short) this.#shortNames.add(name.toLowerCase());
        names.push(...short, ...altHosts);
        if (namespace === pod.namespace) names.push(shortname);
      }
      for (const name of names) this.#hosts.set(name.toLowerCase().replace(/\.$/, ""), ips);
    }
  }

  find(name: string): FoundName | undefined {
    const direct = this.#byName(name);
    if (direct !== undefined) return { addresses: shuffled(direct, this.#random) };
    // A resolver first appends its first search domain, even to names that are complete already.
    const [first = ""] = this.#pod.search;
    if (first === "" || !name.endsWith(`.${first}`)) return undefined;
    const alias = name.slice(0, -first.length - 1);
    const found = this.#byName(alias);
    return found === undefined ? undefined : { addresses: shuffled(found, this.#random), alias };
  }

  #byName(name: string): readonly string[] | undefined {
    const exact = this.#hosts.get(name);
    if (exact !== undefined) return exact;
    // `db-0.db.shop` is a pod of a Service. The name server knows it, and no wildcard such as `*.shop` may match it.
    if (this.#shortNames.has(name.slice(name.indexOf(".") + 1))) return undefined;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const found = this.#hosts.get(`*${name.slice(dot)}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
