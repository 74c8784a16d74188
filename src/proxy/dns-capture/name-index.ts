import type { Random } from "../../base/index.ts";
import { shuffled, type FoundName } from "../../dataplane/dns/index.ts";
import type { NameTable } from "../../wire/discovery/index.ts";

export interface PodNames {
  readonly namespace: string;
  /** The pod's domain in the cluster, such as `default.svc.cluster.local`. */
  readonly domain: string;
  /** The search domains of the pod's resolver, in its order. */
  readonly search: readonly string[];
}

/** A name table, indexed by all names that a service has in this pod. */
export class NameIndex {
  readonly #hosts = new Map<string, readonly string[]>();
  /** The names of Kubernetes' Services in the forms `service.namespace` and `service.namespace.svc`. */
  readonly #shortNames = new Set<string>();
  readonly #pod: PodNames;
  readonly #random: Random;

  constructor(table: NameTable, pod: PodNames, random: Random) {
    this.#pod = pod;
    this.#random = random;
    const domain = pod.domain.startsWith(`${pod.namespace}.`) ? pod.domain.slice(pod.namespace.length + 1) : pod.domain;
    // Add the names of Services last, so that they replace equal hosts of ServiceEntries, which any namespace may
    // write.
    const rankOf = ({ registry }: NameTable["table"][string]): number => Number(registry === "Kubernetes");
    const entries = Object.entries(table.table).sort(([, left], [, right]) => rankOf(left) - rankOf(right));
    for (const [hostname, { ips, registry, shortname, namespace, altHosts }] of entries) {
      const names = [hostname];
      // Add short names only for Services of the pod's own domain. In another domain, they would belong to another
      // cluster.
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
    // A resolver appends its first search domain first, even to a name that is already complete. Look up such a name
    // without the search domain.
    const [first = ""] = this.#pod.search;
    if (first === "" || !name.endsWith(`.${first}`)) return undefined;
    const alias = name.slice(0, -first.length - 1);
    const found = this.#byName(alias);
    return found === undefined ? undefined : { addresses: shuffled(found, this.#random), alias };
  }

  #byName(name: string): readonly string[] | undefined {
    const exact = this.#hosts.get(name);
    if (exact !== undefined) return exact;
    // A name such as `db-0.db.shop` belongs to a pod of a Service. Leave it to the cluster's name server: a wildcard
    // such as `*.shop` must not match it.
    if (this.#shortNames.has(name.slice(name.indexOf(".") + 1))) return undefined;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const found = this.#hosts.get(`*${name.slice(dot)}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
