// The shape of a preflight plan, which `serin upgrade plan --json` prints: docs/upgrade-plan.md. Fields are added, never renamed.
import type { FieldChange } from "./compare/tree-diff.ts";

export type Severity = "blocked" | "warning" | "note";

/** The parts of a plan, as sections of its report. */
export type PlanArea =
  | "rendered"
  | "defaults"
  | "definitions"
  | "configuration"
  | "proxies"
  | "trust"
  | "workloads"
  | "time";

/** One thing that somebody should know before the upgrade starts. */
export interface Finding {
  readonly severity: Severity;
  readonly area: PlanArea;
  readonly message: string;
  /** What it is about, as `Kind namespace/name`; at most {@link maxNamed} of them, `total` says how many there are. */
  readonly objects?: readonly string[];
  readonly total?: number;
  /** What to do, as a sentence or a command. */
  readonly hint?: string;
}

export type Verdict = "ok" | "warnings" | "blocked";

/** A part that could not be compared; the plan is not complete without it. */
export interface NotCompared {
  readonly area: PlanArea;
  readonly reason: string;
  readonly hint: string;
}

export interface RevisionSide {
  readonly revision: string;
  /** Undefined where nothing tells it. */
  readonly version?: string;
  /** The directory of the release that was asked. */
  readonly release?: string;
}

export interface PreflightReport {
  /** Of this shape. */
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
  /** What the engine would do, in its order. */
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
  /** `Kind namespace/name` of the new revision. */
  readonly added: readonly string[];
  /** Installed for the old revision, and not for the new one. */
  readonly removed: readonly string[];
  readonly changed: readonly ObjectChange[];
}

export interface ObjectChange {
  readonly object: string;
  /** One object for both revisions: the old one gets the change too. */
  readonly inPlace: boolean;
  readonly changes: readonly FieldChange[];
}

export interface DefaultsReport {
  /** Of the profile that the upgrade installs, as each release dumps it. */
  readonly profile: readonly FieldChange[];
  /** Of what each release makes of the same install spec: mesh config, injection's values, environment of the control plane. */
  readonly effective: readonly ObjectChange[];
}

export interface DefinitionsReport {
  /** The upgrade writes definitions; otherwise the cluster's own stay. */
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
  /** Stored objects that the change concerns, as `Kind namespace/name`. */
  readonly objects: readonly string[];
  readonly total: number;
}

export interface ConfigurationReport {
  /** What only the new release says of the live objects. */
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
  /** Proxies that both releases were asked about: one for all replicas of a workload. */
  readonly asked: number;
  /** Live proxies that these stand for. */
  readonly live: number;
  readonly resources: number;
  readonly groups: readonly ResourceGroup[];
  readonly envoyFilters: readonly EnvoyFilterReport[];
}

export type ResourceChangeType = "added" | "removed" | "changed";

/** One difference that several resources of several proxies share. */
export interface ResourceGroup {
  /** `cluster`, `listener`, `route`, `endpoint`, `address`, … */
  readonly type: string;
  readonly change: ResourceChangeType;
  readonly changes: readonly FieldChange[];
  /** At most {@link maxNamed}. */
  readonly resources: readonly string[];
  readonly resourceCount: number;
  readonly proxies: readonly string[];
  readonly proxyCount: number;
}

export interface EnvoyFilterReport {
  readonly name: string;
  /** Resources that it changes, as far as several filters of one proxy can be told apart; undefined where it was not asked. */
  readonly patchedByFrom: number;
  readonly patchedByTo: number;
  /** Resources of proxies that it selects on which both releases do not have the same effect. */
  readonly differing: readonly string[];
  readonly differingCount: number;
}

export interface TrustReport {
  readonly rootsAgree: boolean;
  readonly trustDomainsAgree: boolean;
  readonly from: TrustSide;
  readonly to: TrustSide;
  /** Namespaces whose `istio-ca-root-cert` holds other roots than the old revision signs with. */
  readonly staleNamespaces: readonly string[];
}

export interface TrustSide {
  readonly trustDomain: string;
  readonly aliases: readonly string[];
  /** SHA-256 of the root's DER, hexadecimal; empty where it cannot be known. */
  readonly rootFingerprints: readonly string[];
  /** Where it comes from: `Secret istio-system/istio-ca-secret`. */
  readonly source: string;
}

export interface WorkloadsReport {
  readonly namespaces: readonly NamespaceReport[];
  /** Tags that lead to the old revision, and move with the upgrade. */
  readonly tags: readonly string[];
  /** `namespace/name` with why a restart does not move it. */
  readonly stuck: readonly StuckWorkload[];
  readonly blockingBudgets: readonly BlockingBudget[];
  readonly gateways: readonly GatewayReport[];
  readonly waypoints: readonly GatewayReport[];
  readonly ztunnels: readonly ZtunnelReport[];
  /** What injection changes in pods besides version and revision, by equal change. */
  readonly injection: readonly InjectionGroup[];
}

export interface NamespaceReport {
  readonly namespace: string;
  readonly mode: "sidecar" | "ambient";
  /** The revision, or the tag, that its label names. */
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
  /** Undefined where it could not be asked. */
  readonly liveConnections?: number;
}

export interface InjectionGroup {
  readonly changes: readonly FieldChange[];
  /** `namespace/kind name`, at most {@link maxNamed}. */
  readonly workloads: readonly string[];
  readonly workloadCount: number;
}

export interface EstimateReport {
  readonly seconds: number;
  readonly parts: readonly EstimatePart[];
}

export interface EstimatePart {
  readonly what: string;
  /** How the seconds come about, for a person: `6 Deployments x 4.2 s (median readiness of their pods)`. */
  readonly how: string;
  readonly seconds: number;
}

/** Names that one entry lists; counts tell the rest. */
export const maxNamed = 20;

export function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ severity }) => severity === "blocked")) return "blocked";
  return findings.some(({ severity }) => severity === "warning") ? "warnings" : "ok";
}

/** The objects of a finding, cut to what one entry lists. */
export function named(objects: readonly string[]): { readonly objects: readonly string[]; readonly total: number } {
  return { objects: objects.slice(0, maxNamed), total: objects.length };
}
