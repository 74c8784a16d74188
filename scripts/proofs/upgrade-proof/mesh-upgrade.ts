// Upgrades the whole mesh and rolls back from the middle. Then upgrades to the end, where the old revision is retired,
// and rolls back, which installs the old revision again. After each rollback, everything that people have specified
// must be the same as before.
import assert from "node:assert/strict";
import {
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podKind,
  serviceKind,
} from "../../../src/api/kubernetes/index.ts";
import { checkDefaults, meshUpgradeKind, type RolloutPhase, type RolloutStatus } from "../../../src/api/serin/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { revisionSpec } from "../../demo/mesh-inputs.ts";
import { follow } from "./follow.ts";
import { expectIntendedState, intendedState } from "./intended-state.ts";
import { namespaces } from "./load-plans.ts";
import { difference } from "./load-totals.ts";
import { probesOfPairs, restartsAtOnce, revisions, samplesAt, seconds, versions, type Proof } from "./proof.ts";
import { moreRequests } from "./stage.ts";

const checkLimits = { minSamples: 40, timeoutSeconds: 120 };
const stepsTimeoutMs = 900_000;
/**
 * The shares of the wanted requests to send. The first share is sent while both revisions serve, counted from the end
 * of the first wave. The second one is sent after the rollback.
 */
const middleShare = 0.2;
const backShare = 0.05;
/** The number of requests to send while the upgrade is paused, in addition to all earlier requests. */
const pausedRequests = 200;

export const firstWave = "callers";

export interface UpgradeWords {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly version: string;
  /** The duration of the soak after each wave. */
  readonly soakSeconds?: number;
  readonly settleTimeoutSeconds?: number;
  /** Checks in addition to those that every upgrade has. */
  readonly checks?: readonly object[];
}

/**
 * Two waves: first one ambient and one sidecar namespace that call other namespaces, then everything else. Gateways
 * move between them.
 */
export function upgradeObject(
  { ambientOnly, scale, workers }: Proof,
  { name, from, to, version, soakSeconds = 0, settleTimeoutSeconds = 300, checks = [] }: UpgradeWords,
): UntypedObject {
  const maxUnavailable = restartsAtOnce(scale);
  const install = [revisionSpec(to, version, workers?.[to === revisions.old ? 0 : 1])];
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: from },
      to: { revision: to, install },
      ztunnel: { by: "Pod", maxConcurrent: 4 },
      ...(ambientOnly
        ? {}
        : {
            waves: [
              {
                name: firstWave,
                namespaces: [namespaces.sidecarClients, namespaces.echoes],
                soakSeconds,
              },
              { name: "rest", soakSeconds, maxUnavailable },
            ],
          }),
      checks: [
        { type: "mtls-probe-matrix", ...checkLimits, minSamples: probesOfPairs(scale, checkLimits.minSamples) },
        { type: "request-success-rate", ...checkLimits, minSamples: samplesAt(scale, checkLimits.minSamples) },
        { type: "tcp-connect-failures", minSamples: samplesAt(scale, checkDefaults.minSamples) },
        { type: "xds-nacks", ...checkLimits },
        { type: "pod-health", ...checkLimits },
        { type: "restarts", ...checkLimits },
        { type: "certificate-roots", ...checkLimits },
        ...checks,
      ],
      settleTimeoutSeconds,
    },
  };
}

/**
 * Whether the step has ended in which half of the waypoint's requests go to the new revision. Without a waypoint,
 * whether the gateway's step with half of the requests has ended.
 */
function isInTheMiddle({ ambientOnly }: Proof, { completedSteps }: RolloutStatus): boolean {
  const half = ambientOnly ? /^gateway\/.*\/50$/ : /^waypoint\/.*\/50$/;
  return completedSteps.some(({ id }) => half.test(id));
}

export async function playUpgrade(proof: Proof): Promise<void> {
  const { lab, reports } = proof;
  const { client } = lab.api;
  const way = { from: revisions.old, to: revisions.new, version: versions.new };
  const asBefore = await intendedState(client);
  await lab.api.apply([upgradeObject(proof, { name: "forward", ...way })]);
  const hasBoth = ({ completedSteps }: RolloutStatus): boolean =>
    completedSteps.some(({ id }) => id.startsWith(`${firstWave}/`) || id.startsWith("gateway/"));
  await follow(proof, meshUpgradeKind, "forward", { timeoutMs: stepsTimeoutMs, isEnough: hasBoth });
  const before = reports.totals;
  const middle = await follow(proof, meshUpgradeKind, "forward", {
    timeoutMs: stepsTimeoutMs,
    isEnough: (status) => isInTheMiddle(proof, status),
  });
  if (!isInTheMiddle(proof, middle))
    throw new Error(`the upgrade ended before its middle, ${middle.phase}: ${middle.cause ?? middle.message}`);
  await lab.serin(["upgrade", "pause", "forward"]);
  const sent = difference(reports.totals, before).requests;
  await moreRequests(proof, Math.max(pausedRequests, proof.requests * middleShare - sent));
  proof.note("back from the middle");
  const begun = performance.now();
  await lab.serin(["upgrade", "rollback", "forward"]);
  await expectEnd(proof, "forward", "RolledBack");
  await expectIntendedState(client, asBefore);
  proof.note(`everything is as it was, after ${seconds(performance.now() - begun)}`);
  await moreRequests(proof, proof.requests * backShare);
  await lab.api.apply([upgradeObject(proof, { name: "again", ...way })]);
  await expectEnd(proof, "again", "Completed");
  await expectRetired(proof);
  for (const line of (await lab.serin(["version", "--remote"])).trim().split("\n")) proof.note(line);
  proof.note("back from the end");
  await client.patchMerge(meshUpgradeKind, "again", undefined, { spec: { abort: true } });
  await expectEnd(proof, "again", "RolledBack");
  await expectIntendedState(client, asBefore);
  proof.note("the old revision is there again, and everything is as it was");
}

/** Checks that no pod, Service or webhook of the old revision is left, and that namespaces keep their labels. */
async function expectRetired({ lab, ambientOnly }: Proof): Promise<void> {
  const { client } = lab.api;
  const webhooks = (await client.list(mutatingWebhookConfigurationKind)).items;
  const found = [
    ...(await client.list(podKind, { namespace: namespaces.mesh })).items,
    ...(await client.list(serviceKind, { namespace: namespaces.mesh })).items,
    ...webhooks,
  ].map(({ metadata }) => metadata.name ?? "");
  const ofOld = new RegExp(`(istiod|ztunnel|injector)-${revisions.old}`);
  assert.deepEqual(
    found.filter((name) => ofOld.test(name)),
    [],
    "left of the old revision",
  );
  const tag = webhooks.find(({ metadata }) => metadata.name === "istio-revision-tag-default");
  const services = tag?.webhooks?.map(({ clientConfig }) => clientConfig.service?.name) ?? [];
  assert.deepEqual([...new Set(services)], [`istiod-${revisions.new}`], "what the tag default leads to");
  if (ambientOnly) return;
  const { metadata } = (await client.get(namespaceKind, namespaces.sidecarClients)) ?? { metadata: {} };
  assert.equal(metadata.labels?.["istio-injection"], "enabled", `the label of ${namespaces.sidecarClients}`);
}

/**
 * Waits for the upgrade's end. An old ztunnel ends only after its last connection, so the upgrade may take as long as a
 * long connection stays open.
 */
async function expectEnd(proof: Proof, name: string, phase: "Completed" | "RolledBack"): Promise<void> {
  const until: readonly RolloutPhase[] =
    phase === "Completed" ? ["Completed", "RolledBack", "Stuck"] : ["RolledBack", "Stuck"];
  const status = await follow(proof, meshUpgradeKind, name, {
    timeoutMs: stepsTimeoutMs + 2 * proof.scale.streamSeconds * 1000,
    until,
  });
  if (status.phase !== phase)
    throw new Error(
      `MeshUpgrade ${name} ended as ${status.phase}: ${status.message} (cause: ${status.cause ?? "none"})`,
    );
}
