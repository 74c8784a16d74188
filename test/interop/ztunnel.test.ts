// Upstream's own ztunnel under Serin's control plane and authority: HBONE between it and Serin's in both directions, and in a
// lab in the place of Serin's, served by Serin's CNI agent.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const given = process.env["ZTUNNEL"];
const timeoutMs = 300_000;
const samples = join(root, "samples");
const cached = ".cache/interop/ztunnel";

const cases = ["upstream's client, Serin's server", "Serin's client, upstream's server", "upstream's client asks for addresses as it needs them", "nothing was refused"];

if (given === undefined) process.stderr.write("no proof with a real ztunnel: ZTUNNEL names no program; ZTUNNEL=<path> npm run interop\n");
else {
  describe("a real ztunnel beside Serin's", () => proof(resolve(given)));
  describe("a real ztunnel in the lab", () => labProof(resolve(given)));
}

function proof(program: string): void {
  let outcome: Readonly<Record<string, string>> = {};

  before(async () => {
    assert.ok(existsSync(program), `there is no ${program}`);
    outcome = await run(program);
  }, { timeout: timeoutMs });

  for (const title of cases) test(title, () => assert.equal(outcome[title], "ok"));
}

async function run(program: string): Promise<Readonly<Record<string, string>>> {
  const child = spawn(join(root, "test/interop/mesh/in-namespace.sh"), [process.execPath, join(root, "test/interop/ztunnel/ztunnel-traffic.ts"), program], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise((done) => child.once("exit", done));
  return JSON.parse(text.trim().split("\n").at(-1) ?? "{}") as Record<string, string>;
}

function labProof(program: string): void {
  const [kubectl] = kubectls().slice(-1);
  assert.ok(kubectl);
  const guide = new Walkthrough("interop-ztunnel", kubectl);
  const { lab } = guide;
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const status = async (from: string): Promise<string> => (await lab.shell(`kubectl -n ${from} exec deploy/curl -- curl -s -o /dev/null -m 10 -w '%{http_code}' http://httpbin.shop:8000/status/200`)).output.trim().slice(0, 3);

  before(async () => {
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
    // Containers see this tree, and not the rest of the machine.
    if (program !== join(root, cached)) copyFileSync(program, join(root, cached));
    // In a lab with this catalogue the hub "upstream" has a real ztunnel.
    writeFileSync(join(lab.stateDirectory, "images.yaml"), `images:\n- images: ["*/upstream/ztunnel"]\n  entrypoint: [${cached}]\n`);
  });
  after(async () => await lab.delete());

  step("is installed in the place of Serin's, and takes the pods of its node", async () => {
    await guide.ok("serin install --set profile=ambient --set values.ztunnel.image=docker.io/upstream/ztunnel:1 -y");
    await guide.ok("kubectl -n istio-system rollout status daemonset/ztunnel --timeout=120s");
    await guide.ok("kubectl create namespace shop; kubectl create namespace outside; kubectl label namespace shop istio.io/dataplane-mode=ambient");
    await guide.ok(`kubectl -n shop apply -f ${samples}/httpbin/httpbin.yaml -f ${samples}/curl/curl.yaml && kubectl -n outside apply -f ${samples}/curl/curl.yaml`);
    for (const namespace of ["shop", "outside"]) await guide.ok(`kubectl -n ${namespace} wait pod --all --for=condition=ready --timeout=120s`);
    assert.deepEqual([await status("shop"), await status("outside")], ["200", "200"]);
  });

  step("keeps strangers out where mutual TLS is wanted, and obeys policies", async () => {
    const strict = { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "strict", namespace: "shop" }, spec: { mtls: { mode: "STRICT" } } };
    await guide.ok(`kubectl apply -f - <<< '${JSON.stringify(strict)}'`);
    await becomes(async () => [await status("shop"), await status("outside")], ["200", "000"]);
    const deny = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "deny", namespace: "shop" }, spec: { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["curl"] } }] }] } };
    await guide.ok(`kubectl apply -f - <<< '${JSON.stringify(deny)}'`);
    await becomes(async () => [await status("shop")], ["000"]);
    const conditions = await guide.ok("kubectl -n shop get authorizationpolicy deny -o jsonpath='{.status.conditions[*].type}={.status.conditions[*].status}'");
    assert.equal(conditions.trim(), "ZtunnelAccepted=True");
  });
}

async function becomes(look: () => Promise<readonly string[]>, wanted: readonly string[]): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found.join() === wanted.join() || Date.now() > deadline) return assert.deepEqual(found, wanted);
    await new Promise((done) => setTimeout(done, 200));
  }
}
