// Random faults hit everything that moves a Canary. The Canary must end in the right state, and its status must be
// true. Then people interfere: one edits a field, and another deletes the object in the middle of the rollout.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { seededRandom, systemClock } from "../../src/base/index.ts";
import { setBookinfoStage } from "../support/bookinfo-stage.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { withNewestKubectl } from "../support/kubectls.ts";
import { LabCluster, root } from "../support/lab-cluster.ts";
import { inNetworkOf } from "../support/lab-network.ts";
import { untilLine } from "../support/until-line.ts";

const lab = withNewestKubectl(() => new LabCluster("rollout-faults"));
const random = seededRandom(20_261_120);

const ok = lab.ok.bind(lab);

/** The good release is a second Service with the same pods, and the bad one a Service without pods. */
const service = (name: string, app: string): string => `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  selector: {app: ${app}}
  ports: [{name: http, port: 9080}]
`;

const canary = (name: string, to: string, more = ""): string => `apiVersion: rollout.serin.dev/v1alpha1
kind: Canary
metadata: {name: ${name}}
spec:
  target:
    httpRoute: {name: bookinfo, stable: {name: productpage, port: 9080}, canary: {name: ${to}, port: 9080}}
  steps: [{weight: 10}, {weight: 50}, {weight: 100}]
  checks: [{type: request-success-rate, minSamples: 30, timeoutSeconds: 120}]
${more}`;

interface Status {
  readonly phase?: string;
  readonly message?: string;
  readonly cause?: string;
  readonly completedSteps?: readonly { readonly id: string }[];
}

/** The rollout's status. Undefined if no server answers, and null if the object does not exist. */
async function statusOf(name: string): Promise<Status | null | undefined> {
  const { code, output } = await lab.run(["kubectl", "get", "canary", name, "-o", "json"], { timeoutMs: 5000 });
  if (code !== 0) return /not found/i.test(output) ? null : undefined;
  return (JSON.parse(output) as { status?: Status }).status ?? {};
}

async function becomes(name: string, condition: string, is: (status: Status) => boolean): Promise<Status> {
  const parse = (line: string): Status => (line === "" ? {} : (JSON.parse(line) as Status));
  const command = ["kubectl", "get", "canary", name, "-o", 'jsonpath={.status}{"\\n"}'];
  const awaited = { condition: `canary ${name} ${condition}`, command, timeoutMs: 90_000 };
  return parse(await untilLine(lab, awaited, (line) => is(parse(line))));
}

async function rules(): Promise<unknown> {
  return JSON.parse(await ok(["kubectl", "get", "httproute", "bookinfo", "-o", "jsonpath={.spec.rules}"])) as unknown;
}

/**
 * With this pause, the load sends twenty requests a second, so that the checks soon have their samples. It requests the
 * list of products, which has the page's route. The page would take 20 ms of CPU time, because it needs three other
 * applications.
 */
const loadPauseMs = 100;
const stoppedMs = 2500;

/** What to cut an engine off from: the API server's Service, or all pods whose metrics it reads. */
const partitions = { "the API server": "10.96.0.1/32", "all metrics": "10.244.0.0/16" } as const;

async function routeOf(pid: number, words: readonly string[]): Promise<void> {
  await lab.ok(inNetworkOf(lab, ["ip", "route", ...words], pid));
}

function someOf<One>(all: readonly One[]): One | undefined {
  return all[Math.floor(random() * all.length)];
}

function kill(role: string, title: string): string {
  const one = someOf(lab.ofRole(role));
  if (one === undefined) return `no ${title} runs`;
  process.kill(one.pid, "SIGKILL");
  return `${title} ${one.pid} killed`;
}

async function stop(): Promise<string> {
  const engine = someOf(lab.ofRole("rollout"));
  if (engine === undefined) return "no engine runs";
  process.kill(engine.pid, "SIGSTOP");
  await systemClock.sleep(stoppedMs);
  process.kill(engine.pid, "SIGCONT");
  return `engine ${engine.pid} stopped for ${stoppedMs} ms`;
}

async function cutOff(whom: keyof typeof partitions): Promise<string> {
  const engine = someOf(lab.ofRole("rollout"));
  if (engine === undefined) return "no engine runs";
  await routeOf(engine.pid, ["add", "blackhole", partitions[whom]]);
  await systemClock.sleep(stoppedMs);
  await routeOf(engine.pid, ["del", "blackhole", partitions[whom]]);
  return `engine ${engine.pid} cut off from ${whom} for ${stoppedMs} ms`;
}

/** Each fault kills a process that the rollout needs, stops it for a while, or cuts it off. */
const faults: readonly (() => string | Promise<string>)[] = [
  () => kill("cluster-apiserver", "API server"),
  () => kill("rollout", "engine"),
  () => kill("pilot", "control plane"),
  () => kill("cni", "CNI agent"),
  () => kill("cluster-node", "node agent"),
  stop,
  async () => await cutOff("the API server"),
  async () => await cutOff("all metrics"),
];

/** Yields faults in random order. Every one comes once before any comes again. */
function* faultsInTurn(): Generator<() => string | Promise<string>, never> {
  for (;;) {
    const left = [...faults];
    while (left.length > 0) {
      const [next] = left.splice(Math.floor(random() * left.length), 1);
      if (next !== undefined) yield next;
    }
  }
}

const turns = faultsInTurn();

async function inject(): Promise<string> {
  return await turns.next().value();
}

const faultsPerRollout = 8;

async function underFaults(name: string): Promise<{ readonly status: Status; readonly injected: readonly string[] }> {
  const injected: string[] = [];
  for (let fault = 0; fault < faultsPerRollout; fault += 1) {
    await systemClock.sleep(300 + 2200 * random());
    const status = await statusOf(name);
    injected.push(
      `${await inject().catch(String)} at ${status?.phase ?? "an unknown phase"}, ${status?.completedSteps?.length ?? 0} steps done`,
    );
    if (status?.phase === "Completed" || status?.phase === "RolledBack") break;
  }
  return {
    status: await becomes(name, "ends", ({ phase = "" }) => ["Completed", "RolledBack", "Stuck"].includes(phase)),
    injected,
  };
}

describe("a rollout under faults", { concurrency: 1 }, () => {
  let load: GatewayLoad;
  let original: unknown;

  before(async () => {
    const created = await lab.createOneNode();
    assert.equal(created.code, 0, created.output);
    const url = await setBookinfoStage(lab, {
      releaseRoot: root,
      ambient: false,
      more: `${service("good", "productpage")}---\n${service("bad", "nobody")}`,
    });
    // A second engine and a second control plane are there to take over.
    await ok(["kubectl", "scale", "deployment", "serin-rollout", "-n", "serin-system", "--replicas=2"]);
    await ok(["kubectl", "scale", "deployment", "istiod", "-n", "istio-system", "--replicas=2"]);
    await ok(["kubectl", "rollout", "status", "deployment/istiod", "-n", "istio-system", "--timeout=60s"]);
    // Fails now if this test may not change the engine's routes, because partitions would then have no effect.
    const [engine] = lab.ofRole("rollout");
    assert.ok(engine);
    for (const verb of ["add", "del"]) await routeOf(engine.pid, [verb, "blackhole", "192.0.2.1/32"]);
    load = new GatewayLoad(lab, new URL("/api/v1/products", url).href, { expected: '"title"', pauseMs: loadPauseMs });
    await load.more(20);
    original = await rules();
  });

  after(async () => await lab.delete());

  test("a bad release is rolled back exactly, whatever is killed meanwhile, and the cause is the release", async () => {
    await ok(["kubectl", "apply", "-f", "-"], canary("bad", "bad"));
    const { status, injected } = await underFaults("bad");
    assert.equal(status.phase, "RolledBack", `${JSON.stringify(status)}\n${injected.join("\n")}`);
    assert.match(status.cause ?? "", /request-success-rate: canary \d+ of \d+ failed/);
    assert.deepEqual(await rules(), original, injected.join("\n"));
    await load.more(20);
    load.failures.length = 0;
  });

  test("a foreign edit stops the rollout until it is restored, and a deletion midway rolls it back", async () => {
    await ok(["kubectl", "apply", "-f", "-"], canary("edited", "good", "  onDeletion: Rollback\n"));
    await becomes("edited", "moves traffic", ({ completedSteps = [] }) => completedSteps.length >= 1);
    const written = await rules();
    const theirs = JSON.stringify([{ op: "replace", path: "/spec/rules/0/backendRefs/0/weight", value: 77 }]);
    await ok(["kubectl", "patch", "httproute", "bookinfo", "--type=json", "-p", theirs, "--field-manager=somebody"]);
    const stuck = await becomes("edited", "is held up", ({ phase }) => phase === "Stuck" || phase === "Completed");
    assert.equal(stuck.phase, "Stuck", JSON.stringify(stuck));
    assert.match(stuck.message ?? "", /HTTPRoute default\/bookinfo: \/spec\/rules was changed by somebody/);
    await ok([
      "kubectl",
      "patch",
      "httproute",
      "bookinfo",
      "--type=merge",
      "-p",
      JSON.stringify({ spec: { rules: written } }),
    ]);
    await becomes("edited", "goes on", ({ phase }) => phase !== "Stuck");
    await ok(["kubectl", "delete", "canary", "edited", "--wait=false"]);
    await eventually("the object is gone", async () => (await statusOf("edited")) === null);
    assert.deepEqual(await rules(), original);
    const history = await ok([
      "kubectl",
      "get",
      "rolloutjournal",
      "canary.default.edited",
      "-o",
      "jsonpath={.decisions[*].decision}",
    ]);
    assert.match(history, /Started .*Stuck .*Resumed .*RollingBack .*RolledBack Deleted/);
  });

  test("a good release completes without a failed request, whatever is killed meanwhile", async () => {
    const before = load.failures.length;
    await ok(["kubectl", "apply", "-f", "-"], canary("good", "good"));
    const { status, injected } = await underFaults("good");
    assert.equal(status.phase, "Completed", `${JSON.stringify(status)}\n${injected.join("\n")}`);
    assert.equal(status.completedSteps?.length, 3);
    await load.more(20);
    await load.stop();
    assert.deepEqual(load.failures.slice(before), [], injected.join("\n"));
  });
});
