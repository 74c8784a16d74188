import { labNetwork } from "./cluster-record.ts";

/** The domain of every lab's Services and pods. */
export const clusterDomain = "cluster.local";

interface Resolver {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** The DNS settings of a namespace's pods, unless a pod states its own `dnsPolicy` or `dnsConfig`. */
export function clusterResolver(namespace: string): Resolver {
  return {
    servers: [labNetwork.dnsService],
    searches: [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain],
    options: ["ndots:5"],
  };
}

export function resolverFile({ servers, searches, options }: Resolver): string {
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
    "",
  ].join("\n");
}
