import { istioLabels } from "../api/istio/index.ts";
import { SerinError } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { releaseOfImage } from "../install/index.ts";
import type { PlannedUpgrade, PreflightOptions, UpgradeSteps } from "./options.ts";
import {
  named,
  verdictOf,
  type Finding,
  type NamespaceReport,
  type NotCompared,
  type PreflightReport,
} from "./report.ts";
import { checkTrust, fingerprints } from "./static-checks/trust.ts";
import { waveOrder } from "./static-checks/wave-order.ts";
import { surveyWorkloads } from "./static-checks/workloads.ts";
import { estimate } from "./estimate.ts";
import { unmovedFindings, unselectedFindings, ztunnelFindings } from "./findings.ts";
import { readAuthorities, readConnections, readLiveCluster, rootOf, type LiveCluster } from "./live-cluster.ts";
import { releaseParts, wantedVersion } from "./release-parts.ts";
import { meshTrustOf } from "./trust-settings.ts";
import { ReleaseRunner } from "./release/release-runner.ts";

/**
 * Makes a plan with all facts about an upgrade that can be known before it starts. Writes nothing to the cluster. The
 * processes that it starts have ended when it returns.
 */
export async function preflight(options: PreflightOptions): Promise<PreflightReport> {
  const { client, upgrade, progress } = options;
  progress("reading the cluster");
  const live = await readLiveCluster(client, upgrade.from);
  const fromVersion = versionOf(live.controlPlane.deployment);
  const connections = await readConnections(client, live);
  const survey = surveyWorkloads({ ...live, connections }, upgrade.from);
  const order = waveOrder(
    upgrade.waves,
    survey.injected.filter(({ isGateway }) => !isGateway),
    live.namespaces,
  );
  const { steps, notPlanned } = await plannedSteps(options);
  const runner = await ReleaseRunner.open(options);
  try {
    const from = await options.releases("from", fromVersion);
    const to = await options.releases("to", wantedVersion(upgrade));
    const parts = await releaseParts({ ...options, runner, live, from, to, fromVersion, injected: survey.injected });
    const authorities = await readAuthorities(client, [live.controlPlane.namespace, parts.toNamespace]);
    const trust = checkTrust({
      fromNamespace: live.controlPlane.namespace,
      toNamespace: parts.toNamespace,
      fromMesh: meshTrustOf(live.controlPlane.mesh),
      toMesh: parts.toTrust,
      authorities,
      distributed: live.rootCertificates,
    });
    const findings = bySeverity([
      ...parts.findings,
      ...trust.findings,
      ...(await rotationFindings(options, live.controlPlane.namespace)),
      ...survey.findings,
      ...missingZtunnel(upgrade, parts.hasZtunnel, survey.report.namespaces),
      ...(upgrade.scope.namespaces ? unselectedFindings(order.left, upgrade.from) : []),
      ...leftBehind(live, upgrade),
      ...(steps === undefined ? [] : unmovedFindings(steps.leftBehind, upgrade.from)),
    ]);
    return {
      reportVersion: 1,
      upgrade: upgrade.name,
      from: {
        revision: upgrade.from,
        ...(fromVersion === undefined ? {} : { version: fromVersion }),
        ...(from === undefined ? {} : { release: from.directory }),
      },
      to: {
        revision: upgrade.to,
        ...(parts.toVersion === undefined ? {} : { version: parts.toVersion }),
        ...(to === undefined ? {} : { release: to.directory }),
      },
      verdict: verdictOf(findings),
      findings,
      notCompared: [...parts.notCompared, ...notPlanned],
      ...parts.reports,
      trust: trust.report,
      ...(steps === undefined ? {} : { steps: steps.steps }),
      workloads: { ...survey.report, injection: parts.injection },
      estimate: estimate({
        ...upgrade,
        workloads: survey.report,
        injected: survey.injected,
        order,
        controlPlanePods: controlPlanePods(live, upgrade.from),
      }),
    };
  } finally {
    await runner.close();
  }
}

function missingZtunnel(
  { from, to, scope, installs }: PlannedUpgrade,
  hasZtunnel: boolean | undefined,
  namespaces: readonly NamespaceReport[],
): Finding[] {
  if (!scope.ztunnel || from === to) return [];
  const ambient = namespaces.flatMap(({ namespace, mode }) => (mode === "ambient" ? [namespace] : []));
  return ztunnelFindings(to, { hasZtunnel, isRendered: installs.length > 0 }, ambient);
}

/** The planned steps. Undefined if this release cannot plan the spec, which the new release may still accept. */
async function plannedSteps({ preview }: PreflightOptions): Promise<{
  readonly steps: UpgradeSteps | undefined;
  readonly notPlanned: readonly NotCompared[];
}> {
  try {
    return { steps: await preview?.(), notPlanned: [] };
  } catch (error) {
    if (!(error instanceof SerinError) || error.kind !== "user") throw error;
    return {
      steps: undefined,
      notPlanned: [{ area: "workloads", reason: `the steps: ${error.message}`, hint: error.hint ?? "" }],
    };
  }
}

const severities = ["blocked", "warning", "note"];

function bySeverity(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((left, right) => severities.indexOf(left.severity) - severities.indexOf(right.severity));
}

/** The version of the control plane: the tag of its image or, if the image has no tag, the version in its labels. */
function versionOf({ metadata, spec }: LiveCluster["controlPlane"]["deployment"]): string | undefined {
  const image = spec?.template.spec?.containers.find(({ name }) => name === "discovery")?.image ?? "";
  return releaseOfImage(image) ?? metadata.labels?.["app.kubernetes.io/version"];
}

/** Findings about the root that the mesh is to get: whether its Secret exists and contains a root. */
async function rotationFindings(
  { client, upgrade: { rootSecret } }: PreflightOptions,
  namespace: string,
): Promise<Finding[]> {
  if (rootSecret === undefined) return [];
  const root = await rootOf(client, rootSecret, namespace);
  const [fingerprint] = fingerprints(root ?? "");
  const hint = "it must have the keys of cacerts: root-cert.pem, ca-cert.pem, ca-key.pem, cert-chain.pem";
  if (root === undefined)
    return [
      {
        severity: "blocked",
        area: "trust",
        message: `spec.to.root.secretName: there is no Secret ${namespace}/${rootSecret}`,
        hint,
      },
    ];
  if (fingerprint === undefined)
    return [
      {
        severity: "blocked",
        area: "trust",
        message: `spec.to.root.secretName: Secret ${namespace}/${rootSecret} has no root certificate`,
        hint,
      },
    ];
  return [
    {
      severity: "note",
      area: "trust",
      message: `the root is rotated to ${fingerprint.slice(0, 16)} (Secret ${namespace}/${rootSecret}): proxies trust it first, certificates use it next, and the old root goes last`,
    },
  ];
}

function controlPlanePods({ pods, controlPlaneNamespaces }: LiveCluster, revision: string): LiveCluster["pods"] {
  return pods.filter(
    ({ metadata: { labels = {}, namespace = "" } }) =>
      labels["app"] === "istiod" &&
      controlPlaneNamespaces.has(namespace) &&
      (labels[istioLabels.revision] ?? "default") === revision,
  );
}

/**
 * Finds objects that name the old revision. The new revision does not read them, even after their namespaces have
 * moved.
 */
function leftBehind({ stored }: LiveCluster, { from, to }: PlannedUpgrade): Finding[] {
  const isConfiguration = (object: UntypedObject): boolean => /istio\.io\//.test(object.apiVersion ?? "");
  const names = [...stored.values()]
    .flat()
    .filter((object) => isConfiguration(object) && object.metadata.labels?.[istioLabels.revision] === from)
    .map((object) => `${object.kind ?? ""} ${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`);
  if (names.length === 0 || from === "default") return [];
  return [
    {
      severity: "warning",
      area: "configuration",
      message: `${names.length} object${names.length === 1 ? " names" : "s name"} revision ${from}: the new control plane does not read ${names.length === 1 ? "it" : "them"}`,
      ...named(names),
      hint: `copy them with the label istio.io/rev: ${to}, or remove the label, before their namespaces move`,
    },
  ];
}
