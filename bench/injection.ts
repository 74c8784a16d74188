// Measures the latency of a whole control plane's injection webhook at a constant rate of requests.
//   node bench/injection.ts [--rate 50] [--seconds 10] [--services 50] [--json]
// The control plane is a separate process with an API server in memory. Every pod in a request also appears in the
// control plane's model as ready.
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { configMapKind, namespaceKind, nodeKind, podKind, serviceKind } from "../src/api/kubernetes/index.ts";
import { ShutdownController, silentLogger, systemClock } from "../src/base/index.ts";
import { ControlPlane, readControlPlaneSettings } from "../src/controlplane/index.ts";
import { FakeKubeClient } from "../src/controlplane/testing/fake-kube-client.ts";
import { namespace, pod, service } from "../src/controlplane/testing/model-fixture.ts";
import { freePort } from "../src/net/testing/index.ts";
import { MetricsRegistry } from "../src/telemetry/index.ts";
import { endsWithThis } from "../scripts/lab/ends-with-this.ts";

interface Options {
  readonly rate: number;
  readonly seconds: number;
  readonly services: number;
  readonly json: boolean;
}

const address = "127.0.0.1";
const namespaceName = "shop";
const warmUpRequests = 100;
/** The number of connections of an API server to a webhook at this rate. */
const connections = 4;

/**
 * Runs the process of the control plane. It prints the webhook's port as soon as it serves. Each line of its input
 * stands for a pod that has started.
 */
async function runControlPlane(services: number): Promise<void> {
  const kube = new FakeKubeClient();
  for (const name of ["istio-system", namespaceName]) kube.put(namespaceKind, namespace(name));
  kube.put(nodeKind, { metadata: { name: "node-1" }, status: { nodeInfo: { kubeletVersion: "v1.36.0" } } } as never);
  kube.put(configMapKind, {
    metadata: { name: "istio-sidecar-injector", namespace: "istio-system" },
    data: { config: "policy: enabled\n", values: "{}" },
  } as never);
  for (let index = 0; index < services; index += 1)
    kube.put(
      serviceKind,
      service(`${namespaceName}/web-${index}`, `10.96.1.${index % 250}`, { app: `web-${index}` }, [
        { name: "http", port: 80, targetPort: 8080 },
      ]),
    );
  const [http = 0, grpc = 0, secure = 0, webhooks = 0, monitoring = 0] = await Promise.all(
    Array.from({ length: 5 }, async () => await freePort()),
  );
  const flags = {
    httpAddr: http,
    grpcAddr: grpc,
    secureGRPCAddr: secure,
    httpsAddr: webhooks,
    monitoringAddr: monitoring,
  };
  const args = Object.entries(flags).map(([name, port]) => `--${name}=${address}:${port}`);
  const settings = readControlPlaneSettings(
    ["discovery", ...args, "--meshConfig", "/nonexistent"],
    { HUB: "docker.io/istio", TAG: "0.1.0", POD_NAME: "istiod-1" },
    "0.1.0",
  );
  const shutdown = new ShutdownController();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  void new ControlPlane({
    client: kube,
    settings,
    version: "0.1.0",
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
  }).run(shutdown);
  while ((await fetch(`http://${address}:${http}/ready`).catch(() => undefined))?.status !== 200)
    await systemClock.sleep(20);
  process.stdout.write(`${webhooks}\n`);
  delay.enable();
  let pods = 0;
  process.stdin.on("data", (lines: Buffer) => {
    for (const byte of lines) {
      if (byte !== 10) continue;
      pods += 1;
      kube.put(
        podKind,
        pod(`${namespaceName}/web-${pods}`, `10.${64 + (pods >> 16)}.${(pods >> 8) & 255}.${pods & 255}`, {
          labels: { app: `web-${pods % services}` },
          account: "web",
        }),
      );
    }
  });
  process.stdin.on("end", () => {
    process.stdout.write(`${JSON.stringify({ loopP99Ms: delay.percentile(99) / 1e6, loopMaxMs: delay.max / 1e6 })}\n`);
    process.exit(0);
  });
}

/** Returns an admission review of a typical pod of a Deployment, with two containers, probes, volumes and a token. */
function review(index: number): string {
  const container = (name: string, port: number): unknown => ({
    name,
    image: `docker.io/shop/${name}:1.2.3`,
    ports: [{ name: "http", containerPort: port, protocol: "TCP" }],
    env: Array.from({ length: 12 }, (_, at) => ({ name: `SETTING_${at}`, value: `value-${at}` })),
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
    livenessProbe: { httpGet: { path: "/live", port: "http", scheme: "HTTP" }, periodSeconds: 10, timeoutSeconds: 1 },
    readinessProbe: { httpGet: { path: "/ready", port, scheme: "HTTP" }, periodSeconds: 5, timeoutSeconds: 1 },
    volumeMounts: [
      { name: "config", mountPath: "/etc/config" },
      { name: "kube-api-access-abcde", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
    ],
  });
  const object = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: `web-${index}-7d9f8c5b6-`,
      namespace: namespaceName,
      labels: { app: `web-${index}`, version: "v1", "pod-template-hash": "7d9f8c5b6" },
      annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: `web-${index}-7d9f8c5b6`,
          uid: "8a6e4f1c",
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      serviceAccountName: "web",
      containers: [container("app", 8080), container("worker", 8081)],
      volumes: [
        { name: "config", configMap: { name: "config", defaultMode: 420 } },
        {
          name: "kube-api-access-abcde",
          projected: {
            defaultMode: 420,
            sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: "token" } }],
          },
        },
      ],
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      ],
    },
  };
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: `uid-${index}`,
      operation: "CREATE",
      namespace: namespaceName,
      kind: { group: "", version: "v1", kind: "Pod" },
      object,
    },
  });
}

async function sendReview(agent: Agent, port: number, body: string): Promise<number> {
  const startedMs = performance.now();
  const answer = await new Promise<string>((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        host: address,
        port,
        method: "POST",
        path: "/inject?timeout=10s",
        rejectUnauthorized: false,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => resolve(text));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  const tookMs = performance.now() - startedMs;
  const { response } = JSON.parse(answer) as { response: { patch?: string } };
  if (response.patch === undefined) throw new Error(`a pod was not injected: ${answer.slice(0, 300)}`);
  return tookMs;
}

/** Returns the CPU time of all threads of a process, in milliseconds. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function main(options: Options, child: ChildProcess): Promise<void> {
  const { stdout, stdin } = child;
  if (stdout === null || stdin === null) throw new Error("the control plane has no pipes");
  const line = (): Promise<string> =>
    new Promise((resolve, reject) => {
      stdout.once("data", (chunk: Buffer) => resolve(chunk.toString("utf8").trim()));
      child.once("exit", (code) => reject(new Error(`the control plane ended with ${code}`)));
    });
  const port = Number(await line());
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const first = await sendReview(agent, port, review(0));
  for (let sent = 0; sent < warmUpRequests; sent += 1) await sendReview(agent, port, review(sent));
  const count = options.rate * options.seconds;
  const before = cpuMs(child.pid ?? 0);
  const startedMs = performance.now();
  const answers: Promise<number>[] = [];
  for (let index = 0; index < count; index += 1) {
    const dueMs = startedMs + (index * 1000) / options.rate;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await systemClock.sleep(waitMs);
    // A real pod becomes ready some time after its injection. In this bench, it only matters that the model is busy
    // too.
    answers.push(sendReview(agent, port, review(index % options.services)).finally(() => stdin.write("\n")));
  }
  const latencies = (await Promise.all(answers)).toSorted((left, right) => left - right);
  const cpu = (cpuMs(child.pid ?? 0) - before) / count;
  const quantile = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  const lastLine = line();
  stdin.end();
  const loop = JSON.parse(await lastLine) as { loopP99Ms: number; loopMaxMs: number };
  agent.destroy();
  const result = {
    rate: options.rate,
    pods: count,
    firstMs: first,
    p50Ms: quantile(0.5),
    p90Ms: quantile(0.9),
    p99Ms: quantile(0.99),
    maxMs: quantile(1),
    cpuMsPerPod: cpu,
    ...loop,
  };
  const shown = Object.entries(result).map(
    ([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toFixed(2)}`,
  );
  process.stdout.write(`${shown.join("  ")}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ name: "injection", ...result })}\n`);
}

const [role, argument] = process.argv.slice(2);
if (role === "control-plane") await runControlPlane(Number(argument));
else {
  const options = benchOptions("npm run bench:injection --", { rate: 50, seconds: 10, services: 50, json: false });
  const child = spawn(
    ...endsWithThis(
      process.execPath,
      "--max-semi-space-size=4",
      import.meta.filename,
      "control-plane",
      String(options.services),
    ),
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  try {
    await main(options, child);
  } finally {
    child.kill("SIGKILL");
  }
}
