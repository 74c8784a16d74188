import { apiVersionOf } from "../../api/index.ts";
import {
  istioAnnotations,
  workloadEntryKind,
  workloadGroupKind,
  type WorkloadEntry,
  type WorkloadGroup,
} from "../../api/istio/index.ts";
import type { ProxyIdentity } from "../serve/index.ts";

const maxNameLength = 253;
const tunnelLabel = "networking.istio.io/tunnel";
const localityLabel = "istio-locality";

/**
 * The name of the entry that stands for a proxy: made of group, address and network, or the one that the proxy names.
 * Undefined: none.
 */
export function registeredEntryName({
  registration,
  address,
  network,
}: Pick<ProxyIdentity, "registration" | "address" | "network">): string | undefined {
  if (registration === undefined) return undefined;
  if (registration.group === "") return registration.entry;
  // Letters of a name that is too long are left out where it begins, as the address is what tells entries apart.
  return [registration.group, address.replaceAll(":", "-"), ...(network === "" ? [] : [network])]
    .join("-")
    .slice(-maxNameLength);
}

/** The entry that a group's template makes for a proxy: what the proxy says of itself counts before the group's metadata, and that before the template. */
export function entryOfGroup(name: string, proxy: ProxyIdentity, group: WorkloadGroup): WorkloadEntry {
  const { template, metadata } = group.spec as Partial<WorkloadGroup["spec"]>;
  const { [localityLabel]: _, ...own } = proxy.labels;
  const tunnel = proxy.hbone ? { [tunnelLabel]: "http" } : {};
  const labels = { ...tunnel, ...template?.labels, ...metadata?.labels, ...own };
  const { registration } = proxy;
  const spec = {
    ...template,
    address: proxy.address,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(proxy.network === "" ? {} : { network: proxy.network }),
    ...(registration?.locality === undefined || registration.locality === ""
      ? {}
      : { locality: registration.locality }),
  };
  return {
    apiVersion: apiVersionOf(workloadEntryKind),
    kind: workloadEntryKind.kind,
    metadata: {
      name,
      namespace: proxy.namespace,
      labels,
      annotations: {
        ...(registration?.probed === true ? { [istioAnnotations.healthChecksEnabled]: "true" } : {}),
        [istioAnnotations.autoRegistrationGroup]: group.metadata.name ?? "",
        ...metadata?.annotations,
      },
      ownerReferences: [
        {
          apiVersion: apiVersionOf(workloadGroupKind),
          kind: workloadGroupKind.kind,
          name: group.metadata.name ?? "",
          uid: group.metadata.uid ?? "",
          controller: true,
        },
      ],
    },
    spec: spec as WorkloadEntry["spec"],
  };
}

export function isAutoRegistered({ metadata }: WorkloadEntry): boolean {
  return (metadata.annotations?.[istioAnnotations.autoRegistrationGroup] ?? "") !== "";
}

/** Why a proxy may not stand for an entry; undefined: it may. */
export function registrationFault(proxy: ProxyIdentity, account: string | undefined): string | undefined {
  if (!proxy.verified) return "its credentials do not prove who it is; it must use the port with TLS";
  if (account !== undefined && account !== "" && account !== proxy.serviceAccount)
    return `it runs as the account ${proxy.serviceAccount === "" ? "that it does not say" : proxy.serviceAccount}, the entry is for ${account}`;
  return undefined;
}
