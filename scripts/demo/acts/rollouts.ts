import type { KindDefinition } from "../../../src/api/index.ts";
import { deploymentKind } from "../../../src/api/kubernetes/index.ts";
import {
  canaryKind,
  meshUpgradeKind,
  type Canary,
  type MeshUpgrade,
  type RolloutStatus,
} from "../../../src/api/serin/index.ts";
import { followObject } from "../../lab/follow-object.ts";
import { serinOk, type Lab } from "../lab.ts";
import { Load } from "../load.ts";
import { LongConnection } from "../long-connection.ts";
import { revisionSpec } from "../mesh-inputs.ts";
import { prepareReleases, releaseReady } from "../releases.ts";
import { namespaces, revisions, versions, type Act, type Stage } from "../stage.ts";
import { labOf } from "./lab-and-mesh.ts";

const loadClients = 4;
const loadPauseMs = 100;
/**
 * The pause between two requests of a client while the mesh changes, if the load is calm. The eight clients then send
 * eight requests a second together. The usual load would take a third of the processor time of these acts, because a
 * page takes 20 ms or more.
 */
const calmPauseMs = 1000;
/** The number of answers after which the load has begun: three for each client of both kinds. */
const firstAnswers = 3 * 2 * loadClients;
/** The number of testers of each kind. With these, the step that routes by header gets its 40 answers in a second. */
const testerClients = 2;
/** The act fails if the rollout object has not changed for this long. Every step is slower on a busy machine. */
const silenceMs = 180_000;

export const startLoad: Act = {
  name: "constant load",
  async play(stage) {
    const lab = labOf(stage);
    for (const namespace of [namespaces.stable, namespaces.canary])
      await lab.until(`the apps of ${namespace} serve`, async () => (await allServe(lab, namespace)) || undefined);
    const url = `http://${stage.gatewayAddress}/productpage`;
    stage.load = new Load({ url, keptAlive: loadClients, newConnections: loadClients, pauseMs: loadPauseMs });
    stage.connection = new LongConnection();
    await stage.connection.open(lab, namespaces.stable);
    const { load, connection } = stage;
    await lab.until("the load has begun", async () => {
      if (!load.running) throw new Error(`the load generator ended: ${load.problem}`);
      return load.counts.requests >= firstAnswers && connection.answeredLines > 5
        ? true
        : await Promise.resolve(undefined);
    });
    stage.note(
      `${loadClients} kept-alive clients, ${loadClients} with one connection for each request, and one long TCP connection`,
    );
  },
};

async function allServe(lab: Lab, namespace: string): Promise<boolean> {
  const { items } = await lab.client.list(deploymentKind, { namespace });
  return items.every(({ spec, status }) => (status?.availableReplicas ?? 0) >= (spec?.replicas ?? 1));
}

const checkLimits = { minSamples: 40, timeoutSeconds: 60 };

export const canaryTheApp: Act = {
  name: "an app canary",
  async play(stage) {
    const lab = labOf(stage);
    // The step that routes by header needs requests with that header. Without them, the judge has no evidence.
    const testers = new Load({
      url: `http://${stage.gatewayAddress}/productpage`,
      keptAlive: testerClients,
      newConnections: testerClients,
      pauseMs: loadPauseMs,
      header: "traffic: test",
    });
    const spec = {
      target: {
        httpRoute: {
          name: "bookinfo",
          namespace: namespaces.stable,
          rule: 0,
          stable: { name: "productpage", port: 9080 },
          canary: { name: "productpage", namespace: namespaces.canary, port: 9080 },
        },
      },
      steps: [
        { match: { headers: [{ name: "traffic", value: "test" }] } },
        { weight: 10 },
        { weight: 50 },
        { weight: 100 },
      ],
      checks: [
        { type: "request-success-rate", ...checkLimits },
        { type: "request-share", ...checkLimits, minSamples: 120 },
      ],
    };
    const object = {
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "Canary",
      metadata: { name: "bookinfo", namespace: namespaces.stable },
      spec,
    };
    await lab.apply([object]);
    // Build the releases of the next acts now, because the judge waits for requests and the processors are mostly idle.
    stage.releases = prepareReleases();
    const status = await follow(stage, canaryKind, "bookinfo", namespaces.stable).finally(() => void testers.stop());
    await testers.stop();
    const counted = testers.counts;
    stage.note(
      `requests with traffic: test: ${counted.requests} sent, ${counted.failed} failed, answered by ${Object.keys(counted.answers).join(", ")}`,
    );
    for (const failure of testers.failures)
      stage.view.line(`FAILED ${failure.at} ${failure.path} ${failure.cause} (tester)`);
    if (status.phase !== "Completed")
      throw new Error(`the canary ended as ${status.phase}: ${status.cause ?? status.message}`);
    if (counted.failed > 0) throw new Error(`${counted.failed} requests of the testers failed`);
  },
};

interface UpgradeWords {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly version: string;
}

function upgradeObject(
  { workers }: Stage,
  { name, from, to, version }: UpgradeWords,
): Record<string, unknown> & { metadata: { name: string } } {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: from },
      to: { revision: to, install: [revisionSpec(to, version, workers?.[1])] },
      ztunnel: { maxConcurrent: 4 },
      checks: [
        { type: "mtls-probe-matrix", ...checkLimits },
        { type: "tcp-connect-failures", ...checkLimits },
        { type: "request-success-rate", ...checkLimits },
        { type: "xds-nacks", ...checkLimits },
      ],
    },
  };
}

/**
 * Whether the upgrade only waits until the old ztunnels have drained. These wait for the end of the long connection.
 */
function isDownToTheLast({ step, message }: RolloutStatus): boolean {
  return step?.id === "drain" && message.includes("draining");
}

/** Upgrades the mesh. When this act ends, the old ztunnel serves only the long connection. */
export const upgradeTheMesh: Act = {
  name: "a mesh canary",
  async play(stage) {
    const lab = labOf(stage);
    await releaseReady(stage, versions.new);
    await lab.apply([
      upgradeObject(stage, { name: "to-1-18-1", from: revisions.old, to: revisions.new, version: versions.new }),
    ]);
    const status = await follow(stage, meshUpgradeKind, "to-1-18-1", undefined, isDownToTheLast);
    if (status.phase !== "Retiring" && status.phase !== "Completed")
      throw new Error(`the upgrade ended as ${status.phase}: ${status.cause ?? status.message}`);
    stage.note(status.message);
    const version = await serinOk(["version", "--remote"]);
    for (const line of version.trim().split("\n")) stage.note(line);
    if (!version.includes(`control plane version: ${versions.new}`))
      throw new Error(`the control plane does not answer ${versions.new}`);
  },
};

function badRelease(name: string, version: string): Act {
  return {
    name,
    async play(stage) {
      const lab = labOf(stage);
      await releaseReady(stage, version);
      const upgrade = `to-${version.replaceAll(".", "-")}`;
      await lab.apply([
        upgradeObject(stage, { name: upgrade, from: revisions.new, to: version.replaceAll(".", "-"), version }),
      ]);
      const status = await follow(stage, meshUpgradeKind, upgrade);
      if (status.phase !== "RolledBack") throw new Error(`the bad release ended as ${status.phase}: ${status.message}`);
      const seconds = (status.rolledBackInMs ?? 0) / 1000;
      stage.rolledBack.push({ cause: status.cause ?? "", seconds });
      stage.note(`rolled back in ${seconds.toFixed(1)} s: ${status.cause ?? ""}`);
    },
  };
}

export const rejectedConfig = badRelease("a bad control plane", versions.rejected);
export const refusingZtunnel = badRelease("a bad ztunnel", versions.refusing);

/** Ends the last connection, and prints how soon the old ztunnel has left. */
export const lastConnection: Act = {
  name: "the last connection ends",
  async play(stage) {
    const lab = labOf(stage);
    const { connection } = stage;
    if (connection?.broken !== undefined) throw new Error(`the long connection was broken: ${connection.broken}`);
    await connection?.close();
    const closedMs = performance.now();
    if (connection !== undefined && connection.answeredLines !== connection.sentLines) {
      throw new Error(`${connection.sentLines} lines were sent and ${connection.answeredLines} came back`);
    }
    const status = await follow(stage, meshUpgradeKind, "to-1-18-1", undefined, ({ phase }) => phase === "Completed");
    stage.note(
      `the old ztunnel left ${Math.round(performance.now() - closedMs)} ms after the end of its last connection; ${connection?.receivedBytes ?? 0} bytes had come back on it`,
    );
    if (status.phase !== "Completed") throw new Error(`the upgrade ended as ${status.phase}: ${status.message}`);
    await lab.client.list(meshUpgradeKind);
  },
};

const ends = ["Completed", "RolledBack", "Stuck"];

/** Follows a rollout to its end, or until `isEnough` returns true, and prints its progress. */
async function follow<Value extends Canary | MeshUpgrade>(
  stage: Stage,
  kind: KindDefinition<Value>,
  name: string,
  namespace?: string,
  isEnough: (status: RolloutStatus) => boolean = () => false,
): Promise<RolloutStatus> {
  let writtenAtMs = performance.now();
  let version: string | undefined;
  const followed = { kind, name, namespace, signal: stage.signal };
  return await followObject(labOf(stage).client, followed, (object) => {
    const { metadata, status } = object ?? {};
    if (metadata?.resourceVersion !== version) {
      version = metadata?.resourceVersion;
      writtenAtMs = performance.now();
    }
    if (status !== undefined) {
      for (const step of stage.printedSteps.takeNew(metadata?.uid ?? "", status.completedSteps)) showStep(stage, step);
      stage.progress(status.message);
      if (stage.calm && kind === meshUpgradeKind) stage.load?.setPause(pauseIn(status));
      if (ends.includes(status.phase) || isEnough(status)) return status;
    }
    if (performance.now() - writtenAtMs > silenceMs)
      throw new Error(
        `${kind.kind} ${name} is still ${status?.phase ?? "not seen"}, and the engine has written nothing for ${silenceMs / 1000} s: ${status?.message ?? ""}`,
      );
    return undefined;
  });
}

/**
 * Returns the pause between two requests of a client. At a step of the gateway, the load is not reduced, because the
 * step waits until the gateway's pods have answered enough requests.
 */
function pauseIn({ step }: RolloutStatus): number {
  return step?.id.startsWith("gateway/") === true ? loadPauseMs : calmPauseMs;
}

function showStep(stage: Stage, step: RolloutStatus["completedSteps"][number]): void {
  const seconds = (Date.parse(step.endedAt) - Date.parse(step.startedAt)) / 1000;
  stage.view.line(
    `${step.title} (${seconds.toFixed(1)} s)${step.evidence.length === 0 ? "" : `: ${step.evidence.join("; ")}`}`,
  );
}

export async function ladderOf(lab: Lab): Promise<{ name: string; revision: string }[]> {
  const { podKind } = await import("../../../src/api/kubernetes/index.ts");
  const { items } = await lab.client.list(podKind);
  return items.flatMap(({ metadata, status }) => {
    if (status?.phase !== "Running") return [];
    const { labels = {}, annotations = {} } = metadata;
    const revision = labels["istio.io/rev"];
    if (labels["app"] === "istiod" && revision !== undefined) return [{ name: "istiod", revision }];
    if (labels["app"] === "ztunnel" && revision !== undefined)
      return [{ name: metadata.deletionTimestamp === undefined ? "ztunnel" : "ztunnel, draining", revision }];
    if (labels["gateway.networking.k8s.io/gateway-name"] !== undefined)
      return [{ name: `gateway ${labels["gateway.networking.k8s.io/gateway-name"]}`, revision: revision ?? "default" }];
    const owner = annotations["serin.dev/ztunnel-owner"];
    return owner === undefined ? [] : [{ name: `pods of ${metadata.namespace ?? ""}`, revision: owner }];
  });
}
