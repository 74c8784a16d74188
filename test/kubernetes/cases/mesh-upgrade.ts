import { join } from "node:path";
import type { ConnectionTarget } from "../../../samples/load-generator/load-plan.ts";
import { difference } from "../../../scripts/proofs/upgrade-proof/load-totals.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { podKind } from "../../../src/api/kubernetes/index.ts";
import { meshUpgradeKind, type MeshUpgrade } from "../../../src/api/serin/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { loadPlan } from "../constant-load.ts";
import { generatorObject } from "../objects.ts";
import { root } from "../real-cluster.ts";
import { addressOf, page, shop } from "./bookinfo.ts";
import { loadLayout } from "./install.ts";

const endTimeoutMs = 900_000;
const streamSeconds = 60;
/**
 * The least number of requests during the upgrade and the way back together. If there were fewer, the load goes on
 * until there are as many.
 */
const leastRequests = 50_000;
const loadTimeoutMs = 400_000;
/** The Deployment that sends further requests from inside the cluster. */
const loadName = "load-upgrade";

/**
 * A MeshUpgrade that moves the README's installation to another revision and release. The new revision gets these
 * values.
 */
export function upgradeObject(name: string, revision: string, tag: string, values: object = {}): UntypedObject {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: "default" },
      to: {
        revision,
        install: [
          {
            profile: "ambient",
            revision,
            tag,
            values,
            components: {
              cni: { enabled: false },
              ingressGateways: [{ name: "istio-ingressgateway", enabled: false }],
            },
          },
        ],
        cni: { tag },
      },
      // The ztunnels take one step for each namespace instead of one for each pod.
      ztunnel: { by: "Namespace" },
      gateways: { weights: [50, 100] },
      waypoints: { weights: [100] },
      checks: [
        { type: "mtls-probe-matrix", minSamples: 40 },
        { type: "request-success-rate", minSamples: 20 },
      ],
      settleTimeoutSeconds: 120,
    },
  };
}

/**
 * Upgrades the rollout engine first, as a user does. It belongs to no revision, and installs objects of its own
 * release.
 */
export async function upgradeEngine({ cluster, next }: Bench): Promise<void> {
  const settings = ["profile=empty", "components.base.enabled=true", `hub=${next.hub}`, `tag=${next.version}`];
  await cluster.ok([next.serin, "install", ...settings.flatMap((one) => ["--set", one]), "-y"], { timeoutMs: 400_000 });
  await cluster.available("serin-system");
}

export async function ended(
  { cluster }: Bench,
  name: string,
  wanted: readonly string[],
): Promise<NonNullable<MeshUpgrade["status"]>> {
  const ends = ["Completed", "RolledBack", "Stuck"];
  const status = await eventually(
    `MeshUpgrade ${name} has ended as ${wanted.join(" or ")}`,
    async () => {
      const { metadata, status: found } = (await cluster.api.client.get(meshUpgradeKind, name)) ?? {};
      if (found?.observedGeneration !== metadata?.generation) return undefined;
      return ends.includes(found?.phase ?? "") ? found : undefined;
    },
    endTimeoutMs,
  );
  if (!wanted.includes(status.phase))
    throw new Error(`${name} ended as ${status.phase}: ${status.cause ?? ""} ${status.message}`);
  return status;
}

/** Routes long connections from the shop's gateway to the application `streams`. */
const streamsRoute: UntypedObject = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "streams", namespace: shop },
  spec: {
    parentRefs: [{ name: "bookinfo-gateway" }],
    rules: [
      {
        matches: ["/socket", "/download"].map((value) => ({ path: { type: "PathPrefix", value } })),
        backendRefs: [{ name: "streams", port: 8080 }],
      },
    ],
  },
};

function streams(from: string, host: string): ConnectionTarget[] {
  const long = { count: 3, seconds: streamSeconds };
  return [
    { name: `${from}: WebSocket`, kind: "websocket", url: `ws://${host}/socket`, ...long },
    { name: `${from}: download`, kind: "download", url: `http://${host}/download`, ...long },
  ];
}

/**
 * Begins more load than other cases have, with long connections. It passes through every gateway, because the upgrade
 * waits for samples of each. The result ends the load.
 */
async function beginUpgradeLoad(bench: Bench): Promise<() => Promise<void>> {
  const { cluster, load } = bench;
  const samples = join(root, "samples");
  for (const file of ["streams/streams.yaml", "bookinfo/networking/bookinfo-gateway.yaml"])
    await cluster.kubectl("apply", "-n", shop, "-f", join(samples, file));
  await cluster.api.apply([streamsRoute]);
  await cluster.available(shop);
  const [classic, standard] = await Promise.all([
    addressOf(bench, "istio-ingressgateway", "istio-system"),
    addressOf(bench, "bookinfo-gateway-istio", shop),
  ]);
  const url = `http://${classic}/productpage`;
  await eventually(`${url} answers`, async () => (await cluster.run(["curl", "-sf", "-m", "3", url])).code === 0);
  const stop = load.begin(
    "upgrade",
    [{ name: "classic gateway: page", url, expected: page, perSecond: 6 }],
    streams("gateway", standard),
  );
  const details = { url: `http://details.${shop}:9080/details/0`, expected: "William Shakespeare" };
  const ratings = { url: `http://ratings.${shop}:9080/ratings/0`, expected: '"Reviewer1"' };
  const inside = [
    { name: "pod: details, many", ...details, perSecond: 60 },
    { name: "pod: ratings, many", ...ratings, perSecond: 60 },
  ];
  const host = `streams.${shop}`;
  const held: ConnectionTarget[] = [
    ...streams("pod", `${host}:8080`),
    { name: "pod: TCP stream", kind: "tcp", url: `tcp://${host}:9000`, count: 3, seconds: streamSeconds },
  ];
  await cluster.api.apply([generatorObject(loadName, shop, loadPlan(cluster.files.reports, inside, held))]);
  await cluster.available(shop);
  return async () => {
    await stop();
    await cluster.kubectl("delete", "-n", shop, `deployment/${loadName}`, "--wait");
    await cluster.kubectl("wait", "-n", shop, "--for=delete", "pod", "-l", `app=${loadName}`, "--timeout=60s");
    await cluster.kubectl("delete", "-n", shop, "httproute/streams");
    for (const file of ["streams/streams.yaml", "bookinfo/networking/bookinfo-gateway.yaml"])
      await cluster.kubectl("delete", "-n", shop, "-f", join(samples, file));
  };
}

/** The pods of the mesh that do not run the next release, with their images. */
export async function ofOldRelease({ cluster, next }: Bench): Promise<string[]> {
  const { items } = await cluster.api.client.list(podKind);
  return items
    .flatMap(({ metadata, spec }) => (spec?.containers ?? []).map(({ image }) => `${metadata.name} ${image}`))
    .filter((line) => /\/(pilot|proxyv2|ztunnel|install-cni):/.test(line) && !line.endsWith(`:${next.version}`));
}

/**
 * Upgrades the mesh, checks that no process of the old release is left, and rolls back. Returns the number of steps of
 * the upgrade.
 */
async function thereAndBack(bench: Bench): Promise<number> {
  const { cluster, load, next, note } = bench;
  const before = load.totals;
  await cluster.api.apply([upgradeObject("to-next", "next", next.version)]);
  const { completedSteps } = await ended(bench, "to-next", ["Completed"]);
  note(`forward in ${completedSteps.length} steps, ${load.totals.requests - before.requests} requests`);
  await eventually("no pod of the old release is left", async () => (await ofOldRelease(bench)).length === 0);
  await load.more(100);
  await cluster.kubectl("patch", "meshupgrade", "to-next", "--type=merge", "-p", '{"spec":{"abort":true}}');
  await ended(bench, "to-next", ["RolledBack"]);
  await load.more(Math.max(100, leastRequests - (load.totals.requests - before.requests)), loadTimeoutMs);
  await cluster.kubectl("delete", "meshupgrade", "to-next");
  return completedSteps.length;
}

export const meshUpgradeCase: Case = {
  name: "mesh-upgrade",
  title: "a MeshUpgrade moves the mesh to the next release and retires the old one, and is then undone",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load, next } = bench;
    await loadLayout(cluster, next.images);
    await upgradeEngine(bench);
    const endLoad = await beginUpgradeLoad(bench);
    const before = load.totals;
    let steps = 0;
    let status = before;
    try {
      steps = await thereAndBack(bench);
      status = difference(load.totals, before);
    } finally {
      // This load must end even if the upgrade has failed, because later cases count their own requests.
      await endLoad();
    }
    const cut = status.closedConnections + Object.values(status.endedWithPod).reduce((sum, count) => sum + count, 0);
    if (cut > 0 || status.ended === 0)
      throw new Error(`${cut} long connections were cut, ${status.ended} lived their time`);
    return `forward in ${steps} steps, and back; ${status.ended} long connections, none cut`;
  },
};

export const absentImageCase: Case = {
  name: "absent-image",
  title: "a MeshUpgrade to images that nobody can pull ends by itself, and its status names the image",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await cluster.api.apply([upgradeObject("to-absent", "absent", "0.0.0-absent")]);
    const { phase, cause = "", message } = await ended(bench, "to-absent", ["RolledBack", "Stuck"]);
    if (!/0\.0\.0-absent/.test(`${cause} ${message}`))
      throw new Error(`it ended as ${phase} without a word of the image: ${cause} ${message}`);
    await load.more(100);
    await cluster.kubectl("delete", "meshupgrade", "to-absent");
    return `${phase}: ${cause === "" ? message : cause}`;
  },
};
