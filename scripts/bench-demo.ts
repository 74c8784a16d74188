// The bench of the lab and the mesh. It measures the time to create a lab, the time until every proxy has acknowledged
// a changed weight, and the memory of an idle lab.
//   npm run bench:demo [-- --json] [-- --changes 100]
// It creates its own cluster in a temporary home and removes it. It needs kubectl. With --json the last line is a JSON
// object.
import { createLogger, describeError, shellQuoted, systemClock, userError } from "../src/base/index.ts";
import type { KindDefinition, UntypedObject } from "../src/api/index.ts";
import { gatewayKind, httpRouteKind } from "../src/api/gateway/index.ts";
import { podKind } from "../src/api/kubernetes/index.ts";
import type { AcknowledgementReport } from "../src/api/serin/index.ts";
import { createKubeClient, loadKubeConfig, withPortForward, type KubeClient } from "../src/kube/index.ts";
import { LabCluster, root, serin } from "../test/support/lab-cluster.ts";
import { benchOptions } from "./arguments/bench-options.ts";
import { memoryOf } from "./demo/memory.ts";
import { untilPage } from "./demo/until-page.ts";
import { oneBundle } from "./lab/one-bundle.ts";

interface Figures {
  /** The time of `serin cluster create` with one control plane and two workers, until all nodes are Ready. */
  clusterReadySeconds: number;
  /** The time from the start of `cluster create` to bookinfo's first page through the mesh's gateway. */
  pageFromNothingSeconds: number;
  /** The time from the write of a weight until the pilot reports that every proxy has acknowledged it. */
  weightChangeMs: { changes: number; p50: number; p99: number; max: number };
  idleMemoryMb: Record<string, number>;
  idleMemoryTotalMb: number;
}

const pageTimeoutMs = 300_000;
const lookMs = 50;

const acknowledgementTimeoutMs = 10_000;
/**
 * The pause before the memory is measured. During the pause, the processes return the memory that only their start
 * needed.
 */
const settleMs = 20_000;

const addresses = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: example, namespace: metallb-system}
spec: {addresses: [172.18.255.200-172.18.255.250]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: empty, namespace: metallb-system}
`;

/** An extra route on bookinfo's gateway, whose weights this bench changes. No client requests its path. */
function benchRoute(weight: number): UntypedObject {
  const backendRefs = [
    { name: "productpage", port: 9080, weight: 100 - weight },
    { name: "reviews", port: 9080, weight },
  ];
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "bench", namespace: "default" },
    spec: {
      parentRefs: [{ name: "bookinfo-gateway" }],
      rules: [{ matches: [{ path: { type: "PathPrefix", value: "/bench" } }], backendRefs }],
    },
  };
}

async function main(json: boolean, changes: number): Promise<void> {
  Object.assign(process.env, oneBundle());
  const lab = new LabCluster("serin-bench");
  const interrupted = (): void => void lab.delete().finally(() => process.exit(1));
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);
  try {
    const figures = await measure(lab, changes);
    print(figures);
    if (json) process.stdout.write(`${JSON.stringify(figures)}\n`);
  } finally {
    await lab.delete();
  }
}

async function measure(lab: LabCluster, changes: number): Promise<Figures> {
  const begin = performance.now();
  await ok(lab, [serin, "cluster", "create", "--name", lab.name]);
  const clusterReadySeconds = secondsSince(begin);
  await Promise.all([ok(lab, [serin, "install", "-y", "--set", "profile=ambient"]), shell(lab, deployLines())]);
  const config = await loadKubeConfig(`${lab.stateDirectory}/kubeconfig`);
  const client = withPortForward(
    createKubeClient(config, { log: createLogger({ scope: "bench", level: "error" }), clock: systemClock }),
    config,
  );
  const ask = untilPage(await gatewayAddress(client))
    .map(shellQuoted)
    .join(" ");
  const { code, output } = await lab.shell(`timeout ${pageTimeoutMs / 1000} ${ask}`);
  if (code !== 0)
    throw userError(
      "script-failed",
      `bookinfo's gateway gave no page after ${pageTimeoutMs / 1000} s: ${output}\n${(await lab.shell("kubectl get pods -A; kubectl get events -A --field-selector type=Warning")).output}`,
    );
  const pageFromNothingSeconds = secondsSince(begin);
  const delays = await changeWeights(client, changes);
  await systemClock.sleep(settleMs);
  const idleMemoryMb = memoryOf(lab.stateDirectory);
  return {
    clusterReadySeconds,
    pageFromNothingSeconds,
    weightChangeMs: { changes, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), max: quantile(delays, 1) },
    idleMemoryMb,
    idleMemoryTotalMb: Math.round(Object.values(idleMemoryMb).reduce((sum, mb) => sum + mb, 0)),
  };
}

/** Calls kubectl only a few times, because each call takes as much processor time as the start of a pod. */
function deployLines(): string {
  const samples = [
    "bookinfo/platform/kube/bookinfo.yaml",
    "sleep/sleep.yaml",
    "bookinfo/gateway-api/bookinfo-gateway.yaml",
  ];
  const files = samples.map((file) => `-f ${root}/samples/${file}`).join(" ");
  return [
    "kubectl label namespace default istio.io/dataplane-mode=ambient",
    `kubectl apply ${files} -f - <<'END'\n${addresses}END`,
  ].join("\n");
}

async function gatewayAddress(client: KubeClient): Promise<string> {
  const deadline = performance.now() + pageTimeoutMs;
  for (;;) {
    const gateway = await client.get(gatewayKind, "bookinfo-gateway", "default");
    const address = gateway?.status?.addresses?.[0]?.value;
    if (address !== undefined) return address;
    if (performance.now() > deadline)
      throw userError("script-failed", `bookinfo's gateway has no address after ${pageTimeoutMs / 1000} s`);
    await systemClock.sleep(lookMs);
  }
}

async function changeWeights(client: KubeClient, changes: number): Promise<number[]> {
  const { items } = await client.list(podKind, { namespace: "istio-system", labelSelector: "app=istiod" });
  const pilot = items[0]?.metadata.name ?? "";
  const kind: KindDefinition<UntypedObject> = {
    group: httpRouteKind.group,
    versions: httpRouteKind.versions,
    kind: "HTTPRoute",
    plural: httpRouteKind.plural,
    namespaced: true,
  };
  const delays: number[] = [];
  // The first write creates the route, so it is not measured.
  for (let change = 0; change <= changes; change += 1) {
    const startedMs = performance.now();
    const { metadata } = await client.apply(kind, benchRoute(change % 100), { fieldManager: "bench", force: true });
    await acknowledged(client, pilot, metadata.resourceVersion ?? "");
    if (change > 0) delays.push(performance.now() - startedMs);
  }
  return delays;
}

async function acknowledged(client: KubeClient, pilot: string, resourceVersion: string): Promise<void> {
  const query = `group=gateway.networking.k8s.io&kind=HTTPRoute&namespace=default&name=bench&resourceVersion=${resourceVersion}`;
  const path = `/api/v1/namespaces/istio-system/pods/${pilot}:8080/proxy/debug/serin/acknowledged?${query}`;
  const deadline = performance.now() + acknowledgementTimeoutMs;
  for (;;) {
    const { status, text } = await client.raw("GET", path, { accept: "*/*" });
    if (status !== 200) throw userError("script-failed", `${pilot} answered ${status}: ${text.slice(0, 200)}`);
    const { processed, proxies } = JSON.parse(text) as AcknowledgementReport;
    const rejected = proxies.find((proxy) => proxy.rejected !== null)?.rejected;
    if (rejected !== undefined && rejected !== null)
      throw userError("script-failed", `a proxy rejected the route: ${rejected.reason}`);
    if (processed && proxies.length > 0 && proxies.every((proxy) => proxy.acknowledged)) return;
    if (performance.now() > deadline)
      throw userError(
        "script-failed",
        `version ${resourceVersion} was not acknowledged after ${acknowledgementTimeoutMs / 1000} s: ${text}`,
      );
  }
}

async function ok(lab: LabCluster, command: readonly string[]): Promise<void> {
  const { code, output } = await lab.run(command);
  if (code !== 0) throw userError("script-failed", `${command.slice(1).join(" ")} ended with ${code}:\n${output}`);
}

async function shell(lab: LabCluster, lines: string): Promise<void> {
  const { code, output } = await lab.shell(`set -e\n${lines}`);
  if (code !== 0) throw userError("script-failed", `${lines}\nended with ${code}:\n${output}`);
}

function secondsSince(startedMs: number): number {
  return Math.round((performance.now() - startedMs) / 10) / 100;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round((sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0) * 10) / 10;
}

function print({
  clusterReadySeconds,
  pageFromNothingSeconds,
  weightChangeMs,
  idleMemoryMb,
  idleMemoryTotalMb,
}: Figures): void {
  const out = (text: string): void => void process.stdout.write(`${text}\n`);
  out(`cluster create, all nodes Ready       ${clusterReadySeconds.toFixed(2)} s`);
  out(`bookinfo through the mesh, from none  ${pageFromNothingSeconds.toFixed(2)} s`);
  out(
    `weight change to the last ACK         p50 ${weightChangeMs.p50} ms, p99 ${weightChangeMs.p99} ms, worst ${weightChangeMs.max} ms of ${weightChangeMs.changes}`,
  );
  out(`idle memory (PSS)                     ${idleMemoryTotalMb} MB`);
  for (const [role, mb] of Object.entries(idleMemoryMb).toSorted(([, a], [, b]) => b - a))
    out(`  ${role.padEnd(36)}${mb.toFixed(1).padStart(6)} MB`);
}

const { changes, json } = benchOptions("npm run bench:demo --", { changes: 100, json: false });
await main(json, changes).catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
});
