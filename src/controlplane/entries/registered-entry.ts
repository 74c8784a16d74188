import { apiVersionOf } from "../../api/index.ts";
import {
  istioAnnotations,
  istioLabels,
  workloadEntryKind,
  workloadGroupKind,
  type WorkloadEntry,
  type WorkloadGroup,
} from "../../api/istio/index.ts";
import type { ProxyIdentity } from "../serve/index.ts";

const maxNameLength = 253;
const localityLabel = "istio-locality";

/**
 * The name of a proxy's WorkloadEntry: the one that the proxy states, or else group, address and network joined.
 * Undefined if the proxy has no entry.
 */
export function registeredEntryName({
  registration,
  address,
  network,
}: Pick<ProxyIdentity, "registration" | "address" | "network">): string | undefined {
  if (registration === undefined) return undefined;
  if (registration.group === "") return registration.entry;
  // The address at its end distinguishes the entries of a group, so a long name is cut at its beginning.
  return [registration.group, address.replaceAll(":", "-"), ...(network === "" ? [] : [network])]
    .join("-")
    .slice(-maxNameLength);
}

/**
 * Makes a proxy's entry from the template of its group. The proxy's own values override the group's metadata, which
 * override the template.
 */
export function entryOfGroup(name: string, proxy: ProxyIdentity, group: WorkloadGroup): WorkloadEntry {
  const { template, metadata } = group.spec as Partial<WorkloadGroup["spec"]>;
  const { [localityLabel]: _, ...own } = proxy.labels;
  const tunnel = proxy.hbone ? { [istioLabels.tunnel]: "http" } : {};
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

/** Why a proxy may not use an entry. Undefined if the proxy may use it. */
export function registrationFault(proxy: ProxyIdentity, account: string | undefined): string | undefined {
  if (!proxy.verified) return "its credentials do not identify it; it must use the port with TLS";
  if (account !== undefined && account !== "" && account !== proxy.serviceAccount)
    return `it runs as the account ${proxy.serviceAccount === "" ? "(unknown)" : proxy.serviceAccount}, but the entry is for ${account}`;
  return undefined;
}
