import { destinationRuleKind, type ClientTls, type DestinationRule } from "../../api/istio/index.ts";
import { listed, labelsText, type Analyzer, type Report } from "../analyzer.ts";
import { findHost, fullHost, knowsAllHosts, namesakes } from "../hosts.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { knowsAllWorkloads, selected, workloads } from "../workloads.ts";

export const caCertificateAnalyzer: Analyzer = {
  name: "destinationrule.CaCertificateAnalyzer",
  description: "the TLS settings of DestinationRules verify the server",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(destinationRuleKind)) {
      const { host, trafficPolicy, workloadSelector } = object.spec;
      const isSelective = workloadSelector !== undefined;
      if (trustsAnybody(trafficPolicy?.tls, isSelective)) {
        report(
          messageTypes.noServerCertificateVerificationDestinationLevel,
          resource,
          "spec.trafficPolicy.tls.mode",
          unverified(host, trafficPolicy?.tls),
        );
      }
      for (const [index, { port, tls }] of (trafficPolicy?.portLevelSettings ?? []).entries()) {
        if (!trustsAnybody(tls, isSelective)) continue;
        report(
          messageTypes.noServerCertificateVerificationPortLevel,
          resource,
          `spec.trafficPolicy.portLevelSettings[${index}].tls.mode`,
          unverified(`${host}:${port.number}`, tls),
        );
      }
    }
  },
};

function trustsAnybody(tls: ClientTls | undefined, isSelective: boolean): boolean {
  if (tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") return false;
  return tls.caCertificates === undefined && !(tls.credentialName !== undefined && isSelective);
}

function unverified(host: string, tls: ClientTls | undefined): string {
  const effect =
    tls?.insecureSkipVerify === true
      ? "with insecureSkipVerify, the proxy accepts any certificate"
      : "the proxy accepts certificates of all authorities among the system's roots, and of no others";
  return `TLS to ${host} is ${tls?.mode ?? ""} without caCertificates: ${effect}; set caCertificates (and subjectAltNames), or ISTIO_MUTUAL for a workload of the mesh`;
}

export const subsetPodsAnalyzer: Analyzer = {
  name: "destinationrule.SubsetSelectPodAnalyzer",
  description: "hosts of DestinationRules exist, and their subsets have pods",
  analyze(inventory, report) {
    if (!knowsAllHosts(inventory)) return;
    for (const rule of inventory.of(destinationRuleKind)) checkSubsets(rule, inventory, report);
  },
};

function checkSubsets(
  { resource, object: { metadata, spec } }: Entry<DestinationRule>,
  inventory: Inventory,
  report: Report,
): void {
  const namespace = metadata.namespace ?? "";
  const known = findHost(inventory, spec.host, namespace);
  if (known === undefined) {
    if (spec.host.startsWith("*")) return;
    const others = namesakes(inventory, spec.host);
    const advice =
      others.length > 0
        ? `; similar hosts: ${listed(others)}; write the full name`
        : "; correct the host, or create its Service or ServiceEntry";
    report(
      messageTypes.unknownDestinationRuleHost,
      resource,
      "spec.host",
      `no Service or ServiceEntry that namespace ${namespace} sees has the name ${fullHost(spec.host, namespace)}, so the rule has no effect${advice}`,
    );
    return;
  }
  // Check only hosts that select pods, because the labels of other endpoints are unknown here.
  if (!knowsAllWorkloads(inventory) || Object.keys(known.selector).length === 0) return;
  const behind = selected(workloads(inventory), known.selector, known.namespace);
  // A host without pods is no fault of the rule.
  if (behind.length === 0) return;
  for (const [index, { name, labels }] of spec.subsets.entries()) {
    if (selected(behind, labels).length > 0 || isByPlace(labels) || isOfCanary(labels)) continue;
    const others = [
      ...new Set(
        behind.map((workload) =>
          labelsText(Object.fromEntries(Object.keys(labels).map((key) => [key, workload.labels[key] ?? "(none)"]))),
        ),
      ),
    ].toSorted();
    report(
      messageTypes.destinationRuleSubsetNotSelectPods,
      resource,
      `spec.subsets[${index}].labels`,
      `subset "${name}" selects ${labelsText(labels)}, which matches no pod, so requests to it get 503; the pods of ${spec.host} have ${listed(others)}; correct the labels, or deploy such pods`,
    );
  }
}

/** Whether a Canary gives its copies this label. Between runs there are no copies, and no requests for them. */
function isOfCanary(labels: Readonly<Record<string, string>>): boolean {
  return labels["rollout.serin.dev/copy"] !== undefined;
}

/** Whether the subset selects by a label that endpoints get from their location. */
function isByPlace(labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).some((key) => key.startsWith("topology.") || key === "kubernetes.io/hostname");
}
