import { stringOf } from "../../base/index.ts";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Node } from "../../wire/discovery/index.ts";

/** What a proxy on a machine outside of the cluster sends for its WorkloadEntry. */
export interface ProxyRegistration {
  /** The WorkloadGroup from which the proxy's entry is created. If empty, the entry must exist already. */
  readonly group: string;
  /** The name of the proxy's existing entry. Empty if there is none. */
  readonly entry: string;
  /** Whether the proxy probes its application and reports the results. */
  readonly probed: boolean;
  /** The locality as `region/zone/subzone`. Empty if the proxy names none. */
  readonly locality: string;
}

/** What a proxy registers. Undefined for a proxy that is not on a machine outside of the cluster. */
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

export interface ProbedHealth {
  readonly healthy: boolean;
  readonly message: string;
}

/** Learns when proxies with WorkloadEntries connect and disconnect. */
export interface WorkloadProxies<Proxy> {
  /**
   * Throws a user error if the proxy may not be what it claims, or if it names something that does not exist. The
   * proxy's stream then ends.
   */
  connected(proxy: Proxy): void;
  disconnected(proxy: Proxy): void;
  probed(proxy: Proxy, health: ProbedHealth): void;
}
