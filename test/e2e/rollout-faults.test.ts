// A canary while everything that moves it is killed or stopped at random: it ends truthfully, and takes with it what it said.
// Then the faults of people: a field that somebody edits, an object that is deleted midway.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { seededRandom, systemClock } from "../../src/base/index.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { LabCluster, root, serin } from "../support/lab-cluster.ts";

const lab = new LabCluster("rollout-faults");
const random = seededRandom(20_261_120);

async function ok(command: readonly string[], input?: string): Promise<string> {
  const { code, output } = await lab.run(command, input === undefined ? {} : { input });
  assert.equal(code, 0, `${command.join(" ")}\n${output}`);
  return output;
}

const addresses = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: metallb-system}
spec: {addresses: [172.18.255.200-172.18.255.250]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
`;

/** A second Service of the same pods is a good release, one without pods is a bad one. */
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
  checks: [{type: request-success-rate, minSamples: 60, timeoutSeconds: 120}]
${more}`;

interface Status {
  readonly phase?: string;
  readonly message?: string;
  readonly cause?: string;
  readonly completedSteps?: readonly { readonly id: string }[];
}

/** Undefined while nobody answers, null when there is no such object. */
async function statusOf(name: string): Promise<Status | null | undefined> {
  const { code, output } = await lab.run(["kubectl", "get", "canary", name, "-o", "json"], { timeoutMs: 5000 });
  if (code !== 0) return /not found/i.test(output) ? null : undefined;
  return (JSON.parse(output) as { status?: Status }).status ?? {};
}

async function becomes(name: string, what: string, is: (status: Status) => boolean): Promise<Status> {
  return await eventually(`canary ${name} ${what}`, async () => {
    const status = await statusOf(name);
    return status !== undefined && status !== null && is(status) ? status : undefined;
  });
}

async function rules(): Promise<unknown> {
  return JSON.parse(await ok(["kubectl", "get", "httproute", "bookinfo", "-o", "jsonpath={.spec.rules}"])) as unknown;
}

const stoppedMs = 2500;

/** One fault: an engine or the API server is killed with -9, or an engine stands still for a while. */
async function strike(): Promise<string> {
  const engines = lab.ofRole("rollout");
  const engine = engines[Math.floor(random() * engines.length)];
  const kind = Math.floor(random() * 3);
  if (kind === 0) {
    const [server] = lab.ofRole("cluster-apiserver");
    if (server !== undefined) process.kill(server.pid, "SIGKILL");
    return "API server killed";
  }
  if (engine === undefined) return "no engine runs";
  if (kind === 1) {
    process.kill(engine.pid, "SIGKILL");
    return `engine ${engine.pid} killed`;
  }
  process.kill(engine.pid, "SIGSTOP");
  await systemClock.sleep(stoppedMs);
  process.kill(engine.pid, "SIGCONT");
  return `engine ${engine.pid} stopped for ${stoppedMs} ms`;
}

const faults = 8;

/** Strikes at random moments, then lets it come to its end. */
async function underFaults(name: string): Promise<{ readonly status: Status; readonly struck: readonly string[] }> {
  const struck: string[] = [];
  for (let fault = 0; fault < faults; fault += 1) {
    await systemClock.sleep(300 + 2200 * random());
    const seen = await statusOf(name);
    struck.push(`${await strike().catch(String)} at ${seen?.phase ?? "an unknown phase"}, ${seen?.completedSteps?.length ?? 0} steps done`);
    if (seen?.phase === "Completed" || seen?.phase === "RolledBack") break;
  }
  return { status: await becomes(name, "ends", ({ phase = "" }) => ["Completed", "RolledBack", "Stuck"].includes(phase)), struck };
}

describe("a rollout under faults", { concurrency: 1 }, () => {
  let load: GatewayLoad;
  let original: unknown;

  before(async () => {
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
    await ok(["kubectl", "apply", "-f", "-"], addresses);
    await ok([serin, "install", "--set", "profile=ambient", "-y"]);
    await ok(["kubectl", "apply", "-f", join(root, "samples/bookinfo/platform/kube/bookinfo.yaml")]);
    await ok(["kubectl", "apply", "-f", "-"], readFileSync(join(root, "samples/bookinfo/gateway-api/bookinfo-gateway.yaml"), "utf8"));
    await ok(["kubectl", "apply", "-f", "-"], `${service("good", "productpage")}---\n${service("bad", "nobody")}`);
    // A second engine waits to take over.
    await ok(["kubectl", "scale", "deployment", "serin-rollout", "-n", "serin-system", "--replicas=2"]);
    const address = await eventually("the gateway has an address", async () => {
      const { output } = await lab.run(["kubectl", "get", "gateway", "bookinfo-gateway", "-o", "jsonpath={.status.addresses[0].value}"]);
      return /^172\.18\.255\.\d+$/.test(output) ? output : undefined;
    });
    await ok(["kubectl", "wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s"]);
    await eventually("bookinfo answers", async () => (await lab.shell(`curl -s -m 2 http://${address}/productpage`)).output.includes("Reviews served by"));
    load = new GatewayLoad(lab, `http://${address}/productpage`);
    await load.more(20);
    original = await rules();
  });

  after(async () => await lab.delete());

  test("a bad release is put back exactly, whatever is killed meanwhile, and the cause is the release", async () => {
    await ok(["kubectl", "apply", "-f", "-"], canary("bad", "bad"));
    const { status, struck } = await underFaults("bad");
    assert.equal(status.phase, "RolledBack", `${JSON.stringify(status)}\n${struck.join("\n")}`);
    assert.match(status.cause ?? "", /request-success-rate: canary \d+ of \d+ failed/);
    assert.deepEqual(await rules(), original, struck.join("\n"));
    await load.more(20);
    load.failures.length = 0;
  });

  test("a field that somebody edits stops it, with who and what; put back, it goes on; deleted midway, it goes back and the object goes", async () => {
    await ok(["kubectl", "apply", "-f", "-"], canary("edited", "good", "  onDeletion: Rollback\n"));
    await becomes("edited", "moves traffic", ({ completedSteps = [] }) => completedSteps.length >= 1);
    const written = await rules();
    const theirs = JSON.stringify([{ op: "replace", path: "/spec/rules/0/backendRefs/0/weight", value: 77 }]);
    await ok(["kubectl", "patch", "httproute", "bookinfo", "--type=json", "-p", theirs, "--field-manager=somebody"]);
    const stuck = await becomes("edited", "is held up", ({ phase }) => phase === "Stuck" || phase === "Completed");
    assert.equal(stuck.phase, "Stuck", JSON.stringify(stuck));
    assert.match(stuck.message ?? "", /HTTPRoute default\/bookinfo: \/spec\/rules was changed by somebody/);
    await ok(["kubectl", "patch", "httproute", "bookinfo", "--type=merge", "-p", JSON.stringify({ spec: { rules: written } })]);
    await becomes("edited", "goes on", ({ phase }) => phase !== "Stuck");
    await ok(["kubectl", "delete", "canary", "edited", "--wait=false"]);
    await eventually("the object is gone", async () => (await statusOf("edited")) === null);
    assert.deepEqual(await rules(), original);
    const history = await ok(["kubectl", "get", "rolloutjournal", "canary.default.edited", "-o", "jsonpath={.decisions[*].decision}"]);
    assert.match(history, /Started .*Stuck .*Resumed .*RollingBack .*RolledBack Deleted/);
  });

  test("a good release completes without a failed request, whatever is killed meanwhile", async () => {
    const before = load.failures.length;
    await ok(["kubectl", "apply", "-f", "-"], canary("good", "good"));
    const { status, struck } = await underFaults("good");
    assert.equal(status.phase, "Completed", `${JSON.stringify(status)}\n${struck.join("\n")}`);
    assert.equal(status.completedSteps?.length, 3);
    await load.more(20);
    await load.stop();
    assert.deepEqual(load.failures.slice(before), [], struck.join("\n"));
  });
});
