import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import { cidrOf, counted, isAddressOf, messageOf } from "../../base/index.ts";
import { matchesLabelSelector } from "../../api/index.ts";
import { isFinishedPod, networkPolicyKind, podKind, type NetworkPolicy, type Pod } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

/** A connection without which a pod of the mesh does not work. */
interface Need {
  readonly direction: "Ingress" | "Egress";
  readonly port: number;
  readonly why: string;
}

const subject = "NetworkPolicy";
const hboneIn: Need = { direction: "Ingress", port: 15_008, why: "by which pods of the mesh reach them" };
const hboneOut: Need = { direction: "Egress", port: 15_008, why: "by which they reach other pods of the mesh" };
const controlPlaneOut: Need = { direction: "Egress", port: 15_012, why: "istiod's, which configures them" };
const debugPagesOut: Need = {
  direction: "Egress",
  port: 15_012,
  why: "istiod's, whose debug pages the rollout engine reads",
};
const controlPlaneIn: Need = { direction: "Ingress", port: 15_012, why: "by which proxies get configuration" };
const webhooksIn: Need = { direction: "Ingress", port: 15_017, why: "by which the API server calls the webhooks" };

/** The source address of the kubelet's probes of captured pods. */
const probeAddress = "169.254.7.127";

/**
 * Finds NetworkPolicies that cut off pods of the mesh from each other, from istiod or from their kubelet. It compares
 * only ports: it assumes that a rule with the port admits the peers that need it.
 */
export async function policyFindings(client: KubeClient): Promise<ClusterFinding[]> {
  try {
    const { items: policies } = await client.list(networkPolicyKind);
    const namespaces = [...new Set(policies.map(({ metadata }) => metadata.namespace ?? ""))].toSorted();
    const found = await Promise.all(
      namespaces.map(async (namespace) => {
        const { items } = await client.list(podKind, { namespace });
        return ofNamespace(
          policies.filter(({ metadata }) => metadata.namespace === namespace),
          items,
        );
      }),
    );
    return found.flat();
  } catch (error) {
    if (isKubeCode(error, "forbidden"))
      return [unseen(subject, "networkpolicies.networking.k8s.io and pods", messageOf(error))];
    throw error;
  }
}

interface Obstruction {
  readonly need: Need;
  readonly policy: NetworkPolicy;
  pods: number;
}

function ofNamespace(policies: readonly NetworkPolicy[], pods: readonly Pod[]): ClusterFinding[] {
  const found = new Map<string, Obstruction>();
  for (const pod of pods) {
    for (const need of needsOf(pod)) {
      const isolating = policies.filter((policy) => isolates(policy, pod, need.direction));
      const [policy] = isolating;
      if (policy === undefined || isolating.some((policyOfPod) => permits(policyOfPod, need, pod))) continue;
      const key = `${policy.metadata.name ?? ""} ${need.direction} ${need.port}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { need, policy, pods: 1 });
      else known.pods += 1;
    }
  }
  return [...[...found.values()].map(findingOf), ...probeFindings(policies, pods)];
}

/**
 * The policies that may keep the kubelet from probing unready pods. Network plugins admit probes from the node's own
 * address, but some refuse the address that the CNI agent gives to probes of captured pods. A pod that is ready shows
 * that its plugin admits this address.
 */
function probeFindings(policies: readonly NetworkPolicy[], pods: readonly Pod[]): ClusterFinding[] {
  const cutOff = pods.filter(isProbedInVain).flatMap((pod) => {
    const isolating = policies.filter((policy) => isolates(policy, pod, "Ingress"));
    return isolating.some(admitsProbes) ? [] : isolating.slice(0, 1);
  });
  return [...new Set(cutOff)].map((policy) => {
    const { namespace = "", name = "" } = policy.metadata;
    const pods = counted(cutOff.filter((other) => other === policy).length, "pod");
    return warning(
      subject,
      `${subject} ${namespace}/${name}`,
      `isolates ${pods} of the ambient mesh that are not ready, and no policy permits the kubelet's probes of these pods, which come from ${probeAddress}`,
      `add a policy to namespace ${namespace} that permits ingress from ${probeAddress}/32; docs/operate.md, "NetworkPolicies", has an example`,
    );
  });
}

function holdsProbes(cidr: string): boolean {
  const network = cidrOf(cidr);
  return network !== undefined && isAddressOf(probeAddress, [network]);
}

function isProbedInVain({ metadata: { annotations = {} }, spec, status }: Pod): boolean {
  if (annotations[istioAnnotations.ambientRedirection] !== "enabled" || status?.phase !== "Running") return false;
  if (status.conditions?.find(({ type }) => type === "Ready")?.status === "True") return false;
  return (spec?.containers ?? []).some(({ startupProbe, readinessProbe, livenessProbe }) =>
    [startupProbe, readinessProbe, livenessProbe].some(
      (probe) => (probe?.httpGet ?? probe?.tcpSocket ?? probe?.grpc) !== undefined,
    ),
  );
}

function admitsProbes({ spec = {} }: NetworkPolicy): boolean {
  return (spec.ingress ?? []).some(
    ({ from = [] }) =>
      from.length === 0 ||
      from.some(
        ({ ipBlock }) =>
          ipBlock !== undefined && holdsProbes(ipBlock.cidr) && !(ipBlock.except ?? []).some(holdsProbes),
      ),
  );
}

function needsOf({ metadata: { labels = {}, annotations = {} }, spec, status }: Pod): readonly Need[] {
  if (isFinishedPod({ status })) return [];
  // NetworkPolicies do not apply to a pod in the node's own network namespace.
  if (spec?.hostNetwork === true) return [];
  if (labels["app"] === "istiod") return [controlPlaneIn, webhooksIn];
  if (labels["app"] === "ztunnel") return [controlPlaneOut];
  if (labels["app"] === "serin-rollout") return [debugPagesOut];
  const managed = labels[istioLabels.gatewayManaged];
  if (managed === "istio.io-mesh-controller") return [hboneIn, hboneOut, controlPlaneOut];
  if (managed !== undefined || annotations[istioAnnotations.sidecarStatus] !== undefined) return [controlPlaneOut];
  return annotations[istioAnnotations.ambientRedirection] === "enabled" ? [hboneIn, hboneOut] : [];
}

function isolates({ spec = {} }: NetworkPolicy, { metadata }: Pod, direction: Need["direction"]): boolean {
  const directions = spec.policyTypes ?? (spec.egress === undefined ? ["Ingress"] : ["Ingress", "Egress"]);
  return directions.includes(direction) && matchesLabelSelector(spec.podSelector ?? {}, metadata.labels);
}

function permits({ spec = {} }: NetworkPolicy, { direction, port: wanted }: Need, pod: Pod): boolean {
  const rules = (direction === "Ingress" ? spec.ingress : spec.egress) ?? [];
  return rules.some(
    ({ ports = [] }) =>
      ports.length === 0 ||
      ports.some(({ protocol = "TCP", port, endPort }) => {
        if (protocol !== "TCP") return false;
        // In an egress rule, a port name refers to a port of the peer. This check does not read peers, so it assumes a
        // match.
        if (typeof port === "string") return direction === "Egress" || portsNamed(port, pod).includes(wanted);
        return port === undefined || (port <= wanted && wanted <= (endPort ?? port));
      }),
  );
}

function portsNamed(name: string, { spec }: Pod): readonly number[] {
  return (spec?.containers ?? [])
    .flatMap(({ ports = [] }) => ports)
    .filter((port) => port.name === name)
    .map(({ containerPort }) => containerPort);
}

function findingOf({ need: { direction, port, why }, policy, pods }: Obstruction): ClusterFinding {
  const { namespace = "", name = "" } = policy.metadata;
  const what = counted(pods, "pod");
  return warning(
    subject,
    `${subject} ${namespace}/${name}`,
    `isolates ${what} of the mesh, and no policy permits ${direction === "Ingress" ? "connections to their" : "their connections to"} port ${port}, ${why}`,
    `add a policy to namespace ${namespace} that permits ${direction === "Ingress" ? "ingress" : "egress"} on TCP port ${port}; docs/operate.md, "NetworkPolicies", has an example`,
  );
}
