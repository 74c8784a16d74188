import { stringOf } from "../../base/index.ts";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Node } from "../../wire/discovery/index.ts";

/** The data that a proxy on a machine outside the cluster sends for its WorkloadEntry. */
export interface ProxyRegistration {
  /** The WorkloadGroup from which the proxy's entry is created. If empty, the entry exists already. */
  readonly group: string;
  /** The name of the proxy's existing entry. Empty if there is none. */
  readonly entry: string;
  /** Whether the proxy probes its application and reports the results. */
  readonly probed: boolean;
  /** `region/zone/subzone`. Empty if the proxy names none. */
  readonly locality: string;
}

/** What a proxy registers. Returns undefined for a proxy that is not on a machine outside the cluster. */
export function readProxyRegistration({ metadata, locality }: Node): ProxyRegistration | undefined {
  const fields: JsonObject = metadata ?? {};
  const group = stringOf(fields["AUTO_REGISTER_GROUP"]);
  const entry = stringOf(fields["WORKLOAD_ENTRY"]);
  if (group === "" && entry === "") return undefined;
  const config = fields["PROXY_CONFIG"];
  const probe =
    typeof config === "object" && config !== null && !Array.isArray(config) ? config["readinessProbe"] : undefined;
  const { region = "", zone = "", subZone = "" } = locality ?? {};
  return {
    group,
    entry,
    probed: probe !== undefined && probe !== null,
    locality: region === "" ? "" : [region, zone, subZone].filter((part) => part !== "").join("/"),
  };
}

/** The result of a proxy's probe of its application. */
export interface ProbedHealth {
  readonly healthy: boolean;
  /** The message of the last probe that failed. */
  readonly message: string;
}

/** Receives the connects and disconnects of proxies that have WorkloadEntries. */
export interface WorkloadProxies<Proxy> {
  /**
   * Throws a user error if the proxy may not be what it claims, or if it names something that does not exist. Its
   * stream then ends.
   */
  connected(proxy: Proxy): void;
  disconnected(proxy: Proxy): void;
  probed(proxy: Proxy, health: ProbedHealth): void;
}
