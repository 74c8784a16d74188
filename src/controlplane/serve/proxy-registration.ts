import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Node } from "../../wire/discovery/index.ts";

/** What a proxy on a machine outside of the cluster says of the WorkloadEntry that is to stand for it. */
export interface ProxyRegistration {
  /** The WorkloadGroup that it wants an entry made of; empty: it has one. */
  readonly group: string;
  /** The entry that is there already; empty: none that it knows. */
  readonly entry: string;
  /** It probes its application, and tells what it finds. */
  readonly probed: boolean;
  /** `region/zone/subzone`; empty: it says none. */
  readonly locality: string;
}

/** Undefined for what is no such proxy. */
export function readProxyRegistration({ metadata, locality }: Node): ProxyRegistration | undefined {
  const fields: JsonObject = metadata ?? {};
  const group = textOf(fields["AUTO_REGISTER_GROUP"]);
  const entry = textOf(fields["WORKLOAD_ENTRY"]);
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

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** What a proxy has found by probing its application. */
export interface ProbedHealth {
  readonly healthy: boolean;
  /** Of the last probe that failed. */
  readonly message: string;
}

/** Told of proxies that stand for WorkloadEntries. */
export interface WorkloadProxies<Proxy> {
  /** Throws a user error for a proxy that may not be who it says, or names nothing that is there: its stream ends. */
  connected(proxy: Proxy): void;
  disconnected(proxy: Proxy): void;
  probed(proxy: Proxy, health: ProbedHealth): void;
}
