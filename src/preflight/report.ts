// The report of a preflight plan, which `serin upgrade plan --json` prints (docs/upgrade-plan.md). Fields may be added,
// and are never renamed.
import type { FieldChange } from "./tree-diff.ts";

export type Severity = "blocked" | "warning" | "note";

export type PlanArea =
  | "rendered"
  | "defaults"
  | "definitions"
  | "configuration"
  | "proxies"
  | "trust"
  | "workloads"
  | "time";

/** What a person should know before the upgrade starts. */
export interface Finding {
  readonly severity: Severity;
  readonly area: PlanArea;
  readonly message: string;
  /** The objects concerned, as `Kind namespace/name`. At most {@link maxNamed}. `total` counts all. */
  readonly objects?: readonly string[];
  readonly total?: number;
  readonly hint?: string;
}

export type Verdict = "ok" | "warnings" | "blocked";

/** A part that could not be compared. A plan with such parts is incomplete. */
export interface NotCompared {
  readonly area: PlanArea;
  readonly reason: string;
  readonly hint: string;
}

export interface RevisionSide {
  readonly revision: string;
  /** Absent if unknown. */
  readonly version?: string;
  readonly release?: string;
}

export interface PreflightReport {
  readonly reportVersion: 1;
  readonly upgrade: string;
  readonly from: RevisionSide;
  readonly to: RevisionSide;
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  readonly notCompared: readonly NotCompared[];
  readonly rendered?: RenderedReport;
  readonly defaults?: DefaultsReport;
  readonly definitions?: DefinitionsReport;
  readonly configuration?: ConfigurationReport;
  readonly proxies?: ProxiesReport;
  readonly trust: TrustReport;
  readonly steps?: readonly { readonly id: string; readonly title: string }[];
  readonly workloads: WorkloadsReport;
  readonly estimate: EstimateReport;
}

export interface RenderedReport {
  readonly components: readonly RenderedComponentReport[];
}

export interface RenderedComponentReport {
  readonly name: string;
  readonly unchanged: number;
  /** Objects of the new revision, as `Kind namespace/name`. */
  readonly added: readonly string[];
  /** Objects that exist for the old revision, and that the new revision does not install. */
  readonly removed: readonly string[];
  readonly changed: readonly ObjectChange[];
}

export interface ObjectChange {
  readonly object: string;
  /** Whether both revisions share the object, so that the change affects the old one too. */
  readonly inPlace: boolean;
  readonly changes: readonly FieldChange[];
}

export interface DefaultsReport {
  /** The differences between the releases in the profile that the upgrade installs. */
  readonly profile: readonly FieldChange[];
  /**
   * The differences in what the releases render from the same install spec: mesh config, injection values, and the
   * control plane's environment.
   */
  readonly effective: readonly ObjectChange[];
}

export interface DefinitionsReport {
  /** Whether the upgrade writes CRDs. If not, the cluster's CRDs stay as they are. */
  readonly installed: boolean;
  readonly changes: readonly DefinitionChange[];
}

export type DefinitionChangeType =
  | "kind-added"
  | "kind-gone"
  | "version-added"
  | "version-gone"
  | "version-unserved"
  | "storage-moved"
  | "field-gone"
  | "type-changed"
  | "values-gone"
  | "required-added"
  | "rule-added"
  | "field-added";

export interface DefinitionChange {
  readonly definition: string;
  readonly type: DefinitionChangeType;
  readonly version?: string;
  readonly field?: string;
  readonly detail: string;
  /** The stored objects that the change concerns, as `Kind namespace/name`. */
  readonly objects: readonly string[];
  readonly total: number;
}

export interface ConfigurationReport {
  /** The messages that only the new release reports for the live objects. */
  readonly appeared: readonly ReleaseMessage[];
  readonly disappeared: readonly ReleaseMessage[];
  readonly kept: number;
}

export interface ReleaseMessage {
  readonly code: string;
  readonly level: string;
  readonly origin: string;
  readonly message: string;
}

export interface ProxiesReport {
  /** How many proxies were compared. All replicas of a workload count as one. */
  readonly asked: number;
  /** How many live proxies they stand for. */
  readonly live: number;
  readonly resources: number;
  readonly groups: readonly ResourceGroup[];
  readonly envoyFilters: readonly EnvoyFilterReport[];
}

export type ResourceChangeType = "added" | "removed" | "changed";

/** One difference that several resources of several proxies share. */
export interface ResourceGroup {
  /** The type of the resource, for example `cluster`, `listener`, `route`, `endpoint` or `address`. */
  readonly type: string;
  readonly change: ResourceChangeType;
  readonly changes: readonly FieldChange[];
  /** The names of the resources, at most {@link maxNamed}. */
  readonly resources: readonly string[];
  readonly resourceCount: number;
  readonly proxies: readonly string[];
  readonly proxyCount: number;
}

export interface EnvoyFilterReport {
  readonly name: string;
  /**
   * The number of resources that the filter changes. Filters that select the same proxy share their number. 0 if no
   * proxy was compared.
   */
  readonly patchedByFrom: number;
  readonly patchedByTo: number;
  /** The resources of the selected proxies on which the filter has another effect in the new release. */
  readonly differing: readonly string[];
  readonly differingCount: number;
}

export interface TrustReport {
  readonly rootsAgree: boolean;
  readonly trustDomainsAgree: boolean;
  readonly from: TrustSide;
  readonly to: TrustSide;
  /** The namespaces whose `istio-ca-root-cert` contains other roots than those of the old revision. */
  readonly staleNamespaces: readonly string[];
}

export interface TrustSide {
  readonly trustDomain: string;
  readonly aliases: readonly string[];
  /** The SHA-256 of each root's DER in hexadecimal. Empty if unknown. */
  readonly rootFingerprints: readonly string[];
  /** Where the root is stored, such as `Secret istio-system/istio-ca-secret`. */
  readonly source: string;
}

export interface WorkloadsReport {
  readonly namespaces: readonly NamespaceReport[];
  /** The tags of the old revision. They move with the upgrade. */
  readonly tags: readonly string[];
  /** The workloads that do not move when they restart, as `namespace/name` with the reason. */
  readonly stuck: readonly StuckWorkload[];
  readonly blockingBudgets: readonly BlockingBudget[];
  readonly gateways: readonly GatewayReport[];
  readonly waypoints: readonly GatewayReport[];
  readonly ztunnels: readonly ZtunnelReport[];
  /** Changes that injection makes in new pods, without those of version and revision. Equal changes form one group. */
  readonly injection: readonly InjectionGroup[];
}

export interface NamespaceReport {
  readonly namespace: string;
  readonly mode: "sidecar" | "ambient";
  /** The revision or tag that the namespace's label names. */
  readonly by: string;
  readonly workloads: readonly WorkloadReport[];
  readonly pods: number;
}

export interface WorkloadReport {
  readonly kind: string;
  readonly name: string;
  readonly replicas: number;
}

export interface StuckWorkload {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly reason: string;
  readonly todo: string;
}

export interface BlockingBudget {
  readonly namespace: string;
  readonly name: string;
  readonly disruptionsAllowed: number;
  readonly pods: number;
  readonly reason: string;
}

export interface GatewayReport {
  readonly namespace: string;
  readonly name: string;
  readonly api: "Gateway API" | "Istio";
  readonly replicas: number;
}

export interface ZtunnelReport {
  readonly node: string;
  readonly pod: string;
  readonly enrolledPods: number;
  /** Absent if the pod did not answer. */
  readonly liveConnections?: number;
}

export interface InjectionGroup {
  readonly changes: readonly FieldChange[];
  /** The workloads as `namespace/kind name`, at most {@link maxNamed}. */
  readonly workloads: readonly string[];
  readonly workloadCount: number;
}

export interface EstimateReport {
  readonly seconds: number;
  readonly parts: readonly EstimatePart[];
}

export interface EstimatePart {
  readonly what: string;
  /** Where the seconds come from: `6 Deployments x 4.2 s (median readiness of their pods)`. */
  readonly how: string;
  readonly seconds: number;
}

/** The maximum number of names that one entry lists. Counts include the others. */
export const maxNamed = 20;

export function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ severity }) => severity === "blocked")) return "blocked";
  return findings.some(({ severity }) => severity === "warning") ? "warnings" : "ok";
}

/** The fields of a finding that name objects: at most {@link maxNamed}, and the number of all. */
export function named(objects: readonly string[]): { readonly objects: readonly string[]; readonly total: number } {
  return { objects: objects.slice(0, maxNamed), total: objects.length };
}
