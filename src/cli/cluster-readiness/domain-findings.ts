import { deploymentKind, type Deployment } from "../../api/kubernetes/index.ts";
import { isDnsLabel, textAt, withoutEnd } from "../../base/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { readJson } from "./cluster-facts.ts";
import { warning, type ClusterFinding } from "./cluster-finding.ts";

const subject = "cluster domain";
const object = "ConfigMap kube-system/coredns";
const usualDomain = "cluster.local";
/** The first line of the block that configures CoreDNS' plugin for Kubernetes. It lists the plugin's zones. */
const kubernetesBlock = /^\s*kubernetes\s+([^{\n]+)/m;

/**
 * The domain of the cluster's Services, from the configuration of CoreDNS. Undefined if the cluster uses another DNS
 * server, or if the caller may not read the configuration.
 */
export async function clusterDomain(client: KubeClient): Promise<string | undefined> {
  const read = await readJson<unknown>(client, "/api/v1/namespaces/kube-system/configmaps/coredns");
  const file = read.state === "read" ? textAt(read.value, "data", "Corefile") : undefined;
  const zones = kubernetesBlock.exec(file ?? "")?.[1]?.split(/\s+/) ?? [];
  return zones
    .map((zone) => withoutEnd(zone, "."))
    .find((zone) => zone.split(".").every(isDnsLabel) && !zone.endsWith(".arpa"));
}

/** Describes what does not work in a mesh whose domain differs from the cluster's, and which value corrects it. */
export function otherDomain(domain: string, ofMesh: string): { readonly detail: string; readonly remedy: string } {
  return {
    detail: `Services are below ${domain}, and the mesh's values name ${ofMesh}: proxies do not know the Services' full names`,
    remedy: `serin install --set values.global.proxy.clusterDomain=${domain} (with Helm: --set global.proxy.clusterDomain=${domain} for each chart)`,
  };
}

/**
 * Compares the cluster's domain with the domain of each control plane. Before the installation, compares it with the
 * mesh's default.
 */
export async function domainFindings(client: KubeClient): Promise<ClusterFinding[]> {
  const domain = await clusterDomain(client);
  if (domain === undefined) return [];
  const pilots = await undefinedIfForbidden(client.list(deploymentKind, { labelSelector: "app=istiod" }));
  const ofMesh = pilots?.items.map(domainOf) ?? [];
  const others = [...new Set(ofMesh.length === 0 ? [usualDomain] : ofMesh)].filter((other) => other !== domain);
  return others.map((other) => {
    const { detail, remedy } = otherDomain(domain, other);
    return warning(subject, object, detail, remedy);
  });
}

function domainOf({ spec }: Deployment): string {
  const containers = spec?.template.spec?.containers ?? [];
  const args = containers.find(({ name }) => name === "discovery")?.args ?? [];
  const at = args.indexOf("--domain");
  return (at < 0 ? undefined : args[at + 1]) ?? usualDomain;
}
