import { withoutEnd } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { clusterDomain, clusterResolver, resolverFile } from "../../record/index.ts";

const hostnameBytes = 63;

export function hostnameOf(pod: Pod, nodeName: string): string {
  if (pod.spec?.hostNetwork === true) return nodeName;
  return withoutEnd((pod.spec?.hostname ?? pod.metadata.name ?? "pod").slice(0, hostnameBytes), "-.");
}

/** The pod's own files in /etc. They use the lab's DNS and never the machine's. */
export function etcFilesOf(pod: Pod, podIp: string, nodeName: string): Record<string, string> {
  const hostname = hostnameOf(pod, nodeName);
  return { hostname: `${hostname}\n`, hosts: hostsFile(pod, podIp, hostname), "resolv.conf": resolverOf(pod) };
}

function hostsFile(pod: Pod, podIp: string, hostname: string): string {
  const { subdomain, hostAliases = [] } = (pod.spec ?? {}) as {
    subdomain?: string;
    hostAliases?: { ip: string; hostnames?: string[] }[];
  };
  const names =
    subdomain === undefined
      ? hostname
      : `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain} ${hostname}`;
  const own = podIp === "" ? [] : [`${podIp}\t${names}`];
  const aliases = hostAliases.map((alias) => `${alias.ip}\t${(alias.hostnames ?? []).join("\t")}`);
  return `${["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", ...own, ...aliases].join("\n")}\n`;
}

function resolverOf(pod: Pod): string {
  const { namespace = "default" } = pod.metadata;
  const { dnsPolicy = "ClusterFirst", dnsConfig } = pod.spec ?? {};
  const given = (dnsConfig?.options ?? []).map(({ name, value }) => (value === undefined ? name : `${name}:${value}`));
  const { servers, searches, options } =
    dnsPolicy === "None" ? { servers: [], searches: [], options: [] } : clusterResolver(namespace);
  return resolverFile({
    servers: [...servers, ...(dnsConfig?.nameservers ?? [])],
    searches: [...searches, ...(dnsConfig?.searches ?? [])],
    options: given.some((option) => option.startsWith("ndots:")) ? given : [...options, ...given],
  });
}
