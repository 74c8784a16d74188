import type { Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { authorityFindings } from "./authority-findings.ts";
import { autoscalerFindings } from "./autoscaler-findings.ts";
import { clockFindings } from "./clock-findings.ts";
import { podSecurityFinding, rightsFindings } from "./access-findings.ts";
import { gatewayDefinitions, lackedVersions, oldestMinor, readJson, serverVersion } from "./cluster-facts.ts";
import { fault, good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";
import { domainFindings } from "./domain-findings.ts";
import { meshFindings } from "./mesh-findings.ts";
import { loadBalancerFindings, networkFindings } from "./network-findings.ts";
import { policyFindings } from "./policy-findings.ts";
import { sandboxFindings } from "./sandbox-findings.ts";
import { taintFindings } from "./taint-findings.ts";
import { webhookFindings } from "./webhook-findings.ts";
import { nodeFindings, platformFinding, readyNodes, type ExaminedNode } from "./node-findings.ts";

/** Checks all requirements of a mesh that are visible through the API server. Changes nothing. */
export async function examineCluster(
  client: KubeClient,
  istioNamespace: string,
  clock: Pick<Clock, "nowMs">,
): Promise<ClusterFinding[]> {
  // This request comes first, because it throws if the server does not answer or refuses the credentials.
  const version = await versionFinding(client);
  const nodes = await readJson<{ readonly items?: readonly ExaminedNode[] }>(client, "/api/v1/nodes");
  const examined = nodes.state === "read" ? (nodes.value.items ?? []) : undefined;
  const found = await Promise.all([
    rightsFindings(client, istioNamespace),
    podSecurityFinding(client, istioNamespace),
    networkFindings(client, istioNamespace),
    domainFindings(client),
    meshFindings(client),
    autoscalerFindings(client),
    policyFindings(client),
    sandboxFindings(client),
    webhookFindings(client, istioNamespace),
    authorityFindings(client, istioNamespace, clock),
    clockFindings(client, readyNodes(examined ?? []), clock),
    gatewayApiFindings(client),
    loadBalancerFindings(client, examined),
    taintFindings(client, examined ?? []),
  ]);
  const platform = examined === undefined ? undefined : platformFinding(examined);
  return [
    version,
    ...found.flat(),
    ...(platform === undefined ? [] : [platform]),
    ...(nodes.state === "forbidden" ? [unseen("nodes", "nodes", nodes.reason)] : nodeFindings(examined ?? [])),
  ];
}

async function versionFinding(client: KubeClient): Promise<ClusterFinding> {
  const { text, supported } = await serverVersion(client);
  const subject = "Kubernetes version";
  if (supported) return good(subject, "Cluster", text);
  return fault(
    subject,
    "Cluster",
    `${text === "" ? "is unknown" : text}; the oldest supported version is 1.${oldestMinor}`,
    `upgrade the cluster to Kubernetes 1.${oldestMinor} or newer`,
  );
}

const command = "serin gateway-api install";

async function gatewayApiFindings(client: KubeClient): Promise<ClusterFinding[]> {
  const subject = "Gateway API";
  const read = await gatewayDefinitions(client);
  if (read.state === "forbidden") return [unseen(subject, "customresourcedefinitions", read.reason)];
  const found = read.state === "read" ? read.value : [];
  const gateways = found.find(({ kind }) => kind === "Gateway");
  if (gateways === undefined)
    return [
      warning(
        subject,
        "CustomResourceDefinition gateways.gateway.networking.k8s.io",
        "does not exist: waypoints and Gateways need it",
        command,
      ),
    ];
  const lacking = found.flatMap((definition) =>
    lackedVersions(definition).map(({ version, level }) =>
      (level === "Error" ? fault : warning)(
        subject,
        `CustomResourceDefinition ${definition.name}`,
        `serves ${definition.served.join(", ") || "no version"}, not ${version}`,
        command,
      ),
    ),
  );
  if (lacking.length > 0) return lacking;
  const release = gateways.release === "" ? "of an unnamed release" : gateways.release;
  const channel = gateways.channel === "" ? "" : `, channel ${gateways.channel}`;
  return [
    good(
      subject,
      `CustomResourceDefinition ${gateways.name}`,
      `${release}${channel}, ${found.length} ${found.length === 1 ? "kind" : "kinds"}`,
    ),
  ];
}
