import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../api/kubernetes/index.ts";
import { until } from "../base/testing/index.ts";
import { renderPrometheus } from "../telemetry/index.ts";
import { NftNetlink, NftTransaction } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import { hasCapture } from "./capture-rules.ts";
import {
  clusterNetwork,
  connectionLoop,
  owner,
  redirection,
  resultOf,
  revisionLabel,
  Rig,
  ZtunnelProcess,
} from "./testing/agent-rig.ts";
import { askOnce, askUdp, TestClient, type TestPodHost } from "./testing/test-node.ts";

requireOwnNetwork();

test("outbound, inbound and DNS of enrolled pods are captured; un-enrolled peers and probes pass", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews, legacy] = [rig.node.addPod(), rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  await rig.node.serve(legacy, 9080, "legacy");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  rig.pod("legacy", legacy, { "istio.io/dataplane-mode": "none" });

  assert.equal(await askOnce(sleep.namespace.fd, reviews.address, 9080), `[zt]reviews saw ${sleep.address}: x`);
  assert.deepEqual(ztunnel.connections(), [
    `outbound ${sleep.address} ${reviews.address}:9080`,
    `inbound-plaintext ${sleep.address} ${reviews.address}:9080`,
  ]);
  assert.equal(await askOnce(legacy.namespace.fd, reviews.address, 9080), `reviews saw ${legacy.address}: x`);
  assert.equal(ztunnel.connections().at(-1), `inbound-plaintext ${legacy.address} ${reviews.address}:9080`);
  assert.equal(await askOnce(sleep.namespace.fd, legacy.address, 9080), `[zt]legacy saw ${sleep.address}: x`);
  assert.equal(await askUdp(sleep.namespace.fd, sleep, "10.96.0.10", 53, "who"), "zt answers who");

  const before = ztunnel.connections().length;
  assert.equal(await askOnce(rig.node.namespace.fd, reviews.address, 9080), "reviews saw 169.254.7.127: x");
  assert.equal(
    await askOnce(reviews.namespace.fd, reviews.address, 9080),
    `reviews saw ${reviews.address}: x`,
    "a pod's call to itself",
  );
  assert.equal(await askOnce(reviews.namespace.fd, "127.0.0.1", 9080), "reviews saw 127.0.0.1: x");
  assert.equal(ztunnel.connections().length, before, "none of these reached the ztunnel");
  assert.equal(rig.cluster.annotation("default/reviews", owner), "default");

  const counted = renderPrometheus(rig.registry);
  for (const line of [
    "istio_cni_install_ready 1",
    'istio_cni_installs_total{result="SUCCESS"} 1',
    "ztunnel_connected 1",
    'nodeagent_reconcile_events_total{type="add"} 3',
  ])
    assert.ok(counted.includes(`${line}\n`), `${line}\n${counted}`);
  const logged = rig.lines.join("");
  assert.match(logged, /Namespace default is enabled in ambient mesh/);
  assert.match(logged, /adding pod to the mesh\tns=default name=reviews/);
});

test("a hand-over between revisions under constant connections loses none, and keeps open ones", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const old = new ZtunnelProcess(rig.socket, "old", "1-18-0");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  const long = await TestClient.connect(sleep.namespace.fd, reviews.address, 9080);
  context.after(() => long.close());
  assert.match(await long.ask("one"), /^\[old\]reviews/);
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  const young = new ZtunnelProcess(rig.socket, "young", "1-18-1");
  await until(() => young.snapshots() > 0);
  assert.equal(
    rig.cluster.annotation("default/sleep", owner),
    "1-18-0",
    "two revisions without a label leave pods where they are",
  );
  for (const [round, revision] of ["1-18-1", "1-18-0", "1-18-1"].entries()) {
    for (const key of ["default/sleep", "default/reviews"]) {
      rig.cluster.label(key, { [revisionLabel]: revision });
      await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[owner] === revision);
    }
    assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), round === 1 ? /^\[old\]/ : /^\[young\]/);
  }
  const { answers, faults } = await loop.stop();
  assert.deepEqual(faults, []);
  assert.ok(
    answers.some((answer) => answer.startsWith("[old]")) && answers.some((answer) => answer.startsWith("[young]")),
  );
  assert.match(await long.ask("two"), /^reviews saw .*: two$/);
  assert.ok(old.events.filter((event) => event.event === "delete").length >= 2);
});

test("a pod stays with its ztunnel while the next one cannot serve it, and moves when it can", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const old = new ZtunnelProcess(rig.socket, "old", "1-18-0");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  const refusals = 3;
  const young = new ZtunnelProcess(rig.socket, "young", "1-18-1", refusals);
  await until(() => young.snapshots() > 0);
  rig.cluster.label("default/sleep", { [revisionLabel]: "1-18-1" });
  const adds = (): number => young.events.filter((event) => event.event === "add").length;
  await until(() => adds() >= refusals);
  const answer = await askOnce(sleep.namespace.fd, reviews.address, 9080);
  assert.ok(adds() > refusals || answer.startsWith("[old]"), answer);
  await rig.cluster.until("default/sleep", (pod) => pod?.metadata.annotations?.[owner] === "1-18-1");
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[young\]/);
  assert.equal(adds(), refusals + 1);
  assert.equal(old.events.filter((event) => event.event === "delete").length, 1);
  assert.deepEqual((await loop.stop()).faults, []);
});

test("while a killed ztunnel is away connections wait, and none is refused", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const first = new ZtunnelProcess(rig.socket, "first");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  await first.kill();
  const waiting = Array.from({ length: 20 }, () => askOnce(sleep.namespace.fd, reviews.address, 9080));
  const second = new ZtunnelProcess(rig.socket, "second");
  for (const answer of await Promise.all(waiting)) assert.match(answer, /^\[second\]reviews/);
  assert.ok(second.events.some((event) => event.event === "add"));
});

test("a restarted agent recovers the sockets, loses no connection meanwhile, and can still hand over", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const old = new ZtunnelProcess(rig.socket, "old", "1-18-0");
  const keys = [rig.pod("sleep", sleep), rig.pod("reviews", reviews)];
  await rig.enrolled(...keys);
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  const before = rig.enrolledPods();
  assert.deepEqual(
    before.map((pod) => [pod.name, pod.owner, pod.listeners.map(({ role }) => role).includes("inbound-hbone")]),
    [
      ["reviews", "1-18-0", true],
      ["sleep", "1-18-0", true],
    ],
  );
  assert.match(before[0]?.rulesDigest ?? "", /^[0-9a-f]{64}$/);
  await rig.stopAgent();
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[old\]reviews/);
  rig.startAgent();
  await until(() => old.snapshots() === 2);
  assert.equal(old.events.filter((event) => event.event === "add").length, 2, "nothing was added anew");
  assert.deepEqual(rig.enrolledPods(), before, "the same rules and the same sockets");
  const young = new ZtunnelProcess(rig.socket, "young", "1-18-1");
  for (const key of keys) {
    rig.cluster.label(key, { [revisionLabel]: "1-18-1" });
    await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[owner] === "1-18-1");
  }
  await old.kill();
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[young\]reviews/);
  const { faults } = await loop.stop();
  assert.ok(faults.length <= 8, `only connections that the killed ztunnel was carrying may fail: ${faults.join("; ")}`);
  assert.equal(young.events.filter((event) => event.event === "add").length, 2);
});

test("a restarted agent that cannot look at its pods yet takes none of them from its ztunnel", async (context) => {
  const rig = new Rig(context);
  rig.showProcesses();
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "one");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  await until(() => ztunnel.snapshots() > 0);
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  await rig.stopAgent();
  rig.hideProcesses();
  rig.startAgent();
  await until(() => ztunnel.snapshots() === 2);
  rig.showProcesses();
  await until(() => rig.enrolledPods().length === 2);
  const { answers, faults } = await loop.stop();
  assert.deepEqual(faults, []);
  assert.ok(answers.length > 0);
  assert.equal(ztunnel.events.filter((event) => event.event === "add").length, 2, "nothing was added anew");
});

test("connections that were open before their pods were enrolled stay unchanged", async (context) => {
  const rig = new Rig(context);
  const [gateway, productpage, reviews] = [rig.node.addPod(), rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(productpage, 9080, "productpage");
  await rig.node.serve(reviews, 9080, "reviews");
  const outside = await TestClient.connect(gateway.namespace.fd, productpage.address, 9080);
  context.after(() => outside.close());
  const inside = await TestClient.connect(productpage.namespace.fd, reviews.address, 9080);
  context.after(() => inside.close());
  await Promise.all([outside.ask("one"), inside.ask("one")]);
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("productpage", productpage), rig.pod("reviews", reviews));
  assert.equal(await outside.ask("two"), `productpage saw ${gateway.address}: two`);
  assert.equal(await inside.ask("two"), `reviews saw ${productpage.address}: two`);
  assert.deepEqual(ztunnel.connections(), []);
  assert.equal(
    await askOnce(productpage.namespace.fd, reviews.address, 9080),
    `[zt]reviews saw ${productpage.address}: x`,
  );
});

test("a starting pod waits for a ztunnel, and is captured when its request is answered", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  await until(() => existsSync(join(rig.directory, "bin/serin-cni")));
  rig.cluster.pods.set({
    metadata: { name: "sleep", namespace: "default", uid: "uid-sleep" },
    spec: { containers: [] },
    status: { phase: "Pending" },
  });
  const pod = { name: "sleep", host: sleep };
  const early = await rig.plugin("ADD", pod, resultOf(sleep));
  assert.equal(early.code, 1);
  assert.equal(early.output?.["code"], 11, "try again later");
  assert.match(String(early.output?.["msg"]), /no ztunnel/);
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await until(() => ztunnel.snapshots() > 0);
  rig.cluster.pods.set({ metadata: { name: "idle", namespace: "default", uid: "uid-idle" }, spec: { containers: [] } });
  const unchecked = await rig.plugin("CHECK", { name: "idle", host: reviews }, resultOf(reviews));
  assert.equal(unchecked.code, 1, "a pod that is not captured fails the check");
  assert.deepEqual(await rig.plugin("ADD", pod, resultOf(sleep)), { code: 0, output: resultOf(sleep).prevResult });
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[zt\]reviews/);
  assert.deepEqual(await rig.plugin("CHECK", pod, resultOf(sleep)), { code: 0, output: undefined });
  assert.equal((await rig.plugin("ADD", { ...pod, name: "nobody" }, resultOf(sleep))).code, 1);
  assert.equal((await rig.plugin("STATUS", pod, { cniVersion: "1.1.0" })).code, 0);
  assert.equal((await rig.plugin("DEL", { ...pod, containerId: "an-earlier-sandbox" })).code, 0);
  assert.ok(!ztunnel.events.some((event) => event.event === "delete"), "a late DEL of an earlier sandbox");
  assert.equal((await rig.plugin("DEL", pod)).code, 0);
  assert.ok(ztunnel.events.some((event) => event.event === "delete"));
  assert.equal((await rig.plugin("DEL", pod)).code, 0, "again");
});

test("a starting pod waits for its own ztunnel while another one is connected", async (context) => {
  const rig = new Rig(context);
  rig.ztunnelWaitMs = 20_000;
  const host = rig.node.addPod();
  rig.startAgent();
  const other = new ZtunnelProcess(rig.socket, "other", "other");
  await until(() => other.snapshots() > 0);
  rig.cluster.pods.set({
    metadata: { name: "sleep", namespace: "default", uid: "uid-sleep", labels: { [revisionLabel]: "own" } },
    spec: { containers: [] },
    status: { phase: "Pending" },
  });
  const added = rig.plugin("ADD", { name: "sleep", host }, resultOf(host));
  const own = new ZtunnelProcess(rig.socket, "own", "own");
  assert.equal((await added).code, 0);
  assert.ok(own.events.some(({ event }) => event === "add"));
  await Promise.all([own.kill(), other.kill()]);
});

test("a pod whose own program has a port of its ztunnel is refused with the program as the reason", async (context) => {
  const rig = new Rig(context);
  const host = rig.node.addPod();
  await rig.node.serve(host, 15_001, "application");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  rig.pod("taken", host);
  await until(() => rig.lines.some((line) => line.includes("default/taken: bind to 127.0.0.1:15001: EADDRINUSE")));
  const line = rig.lines.find((each) => each.includes("EADDRINUSE"));
  assert.match(
    line ?? "",
    /a program of the pod listens on a port that its ztunnel needs \(15001, 15006, 15008, 15053\)/,
  );
  assert.deepEqual(ztunnel.connections(), []);
});

test("a pod whose annotations name another pod's process neither captures nor releases that pod", async (context) => {
  const rig = new Rig(context);
  const [victim, sleep] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(victim, 9080, "victim");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("victim", victim));
  const thief = (name: string, mode: string): void =>
    rig.cluster.pods.set({
      metadata: {
        name,
        namespace: "default",
        uid: `uid-${name}`,
        labels: { "istio.io/dataplane-mode": mode },
        annotations: { "lab.serin.dev/init-pid": String(victim.initPid), [redirection]: "enabled" },
      },
      spec: { containers: [], serviceAccountName: name },
      status: { phase: "Pending" },
    });
  thief("releases", "none");
  await rig.cluster.until("default/releases", (pod) => pod?.metadata.annotations?.[redirection] === undefined);
  thief("takes", "ambient");
  rig.pod("sleep", sleep);
  await rig.enrolled("default/sleep");
  assert.match(await askOnce(sleep.namespace.fd, victim.address, 9080), /^\[zt\]victim/);
  assert.equal(ztunnel.connections().at(-1), `inbound-plaintext ${sleep.address} ${victim.address}:9080`);
  assert.deepEqual(
    rig.enrolledPods().map(({ name }) => name),
    ["sleep", "victim"],
  );
});

test("a starting pod is captured although the watch still knows a failed pod of its name", async (context) => {
  const rig = new Rig(context);
  const web = rig.node.addPod();
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await until(() => ztunnel.snapshots() > 0);
  const failed: Pod = {
    metadata: { name: "web", namespace: "default", uid: "uid-before" },
    status: { phase: "Failed", podIP: web.address },
  };
  rig.cluster.pods.set(failed);
  rig.cluster.unwatched.set("default/web", {
    metadata: { name: "web", namespace: "default", uid: "uid-web" },
    spec: { containers: [] },
    status: { phase: "Pending" },
  });
  await until(() => existsSync(join(rig.directory, "bin/serin-cni")));
  assert.equal((await rig.plugin("ADD", { name: "web", host: web }, resultOf(web))).code, 0);
  assert.ok(hasCapture(web.namespace.fd));
});

test("an agent of which only the DaemonSet is deleted leaves its pods with their ztunnel, and the next one takes them over", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  const conflist = join(rig.directory, "net.d/10-ptp.conflist");
  await until(() => readFileSync(conflist, "utf8").includes("serin-cni"));
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  rig.end = "removed";
  await rig.stopAgent();
  assert.equal(readFileSync(conflist, "utf8"), clusterNetwork, "new pods start without the agent");
  assert.deepEqual(readdirSync(join(rig.directory, "bin")), ["ptp"]);
  assert.equal(rig.cluster.annotation("default/reviews", redirection), "enabled");
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[zt\]reviews/);
  assert.equal(await askOnce(rig.node.namespace.fd, reviews.address, 9080), "reviews saw 169.254.7.127: x", "a probe");
  rig.startAgent();
  await until(() => ztunnel.events.filter(({ event }) => event === "keep").length >= 2);
  await rig.enrolled("default/sleep", "default/reviews");
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[zt\]reviews/);
  const { faults, answers } = await loop.stop();
  assert.deepEqual(faults, []);
  assert.ok(answers.every((answer) => answer.startsWith("[zt]")));
});

test("a probe's path exists before the capture, and survives a restart of the agent", async (context) => {
  const rig = new Rig(context);
  const reviews = rig.node.addPod();
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await until(() => ztunnel.snapshots() > 0);
  // Give the set for probes a wrong type, so that the agent cannot write the rule for the pod's probes. The agent must
  // then not capture the pod.
  const probeTable = new NftTransaction();
  probeTable.table("inet", "istio-ambient-nat").replace().addSet("istio-inpod-probes-v4", ["ipv6"]);
  using nft = new NftNetlink(rig.node.namespace.fd);
  nft.commit(probeTable);
  const key = rig.pod("reviews", reviews);
  await until(() => ztunnel.events.some((event) => event.event === "add"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(hasCapture(reviews.namespace.fd), false);
  await rig.stopAgent();
  rig.startAgent();
  await rig.enrolled(key);
  await rig.stopAgent();
  // Without a ztunnel, the pod stays captured, and its probes still pass.
  await ztunnel.kill();
  rig.startAgent();
  await until(() => existsSync(join(rig.directory, "plugin.sock")));
  assert.equal(await askOnce(rig.node.namespace.fd, reviews.address, 9080), "reviews saw 169.254.7.127: x");
});

test("an agent starts, and exempts the probes of its pods, although one pod cannot be looked at", async (context) => {
  const rig = new Rig(context);
  const [reviews, broken] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("broken", broken), rig.pod("reviews", reviews));
  await rig.stopAgent();
  await ztunnel.kill();
  rig.hostProc = join(rig.directory, "proc");
  mkdirSync(rig.hostProc);
  symlinkSync(`/proc/${reviews.initPid}`, join(rig.hostProc, String(reviews.initPid)));
  // The agent cannot open this pod's namespace, because the kernel refuses to open a link that leads to itself.
  symlinkSync(String(broken.initPid), join(rig.hostProc, String(broken.initPid)));
  rig.startAgent();
  await until(() => existsSync(join(rig.directory, "plugin.sock")));
  assert.equal(await askOnce(rig.node.namespace.fd, reviews.address, 9080), "reviews saw 169.254.7.127: x");
  assert.ok(rig.lines.some((line) => line.includes("a pod's addresses cannot be read yet") && line.includes("broken")));
});

test("a pod whose status names addresses of others neither exempts these from policies, nor ends their probes", async (context) => {
  const rig = new Rig(context);
  const [reviews, legacy, forger] = [rig.node.addPod(), rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  await rig.node.serve(legacy, 9080, "legacy");
  await rig.node.serve(forger, 9080, "forger");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  const others = [reviews.address, legacy.address];
  const keys = [rig.pod("reviews", reviews), rig.pod("forger", forger, {}, others)];
  await rig.enrolled(...keys);
  rig.pod("legacy", legacy, { "istio.io/dataplane-mode": "none" });
  const asked = async (host: TestPodHost): Promise<string> =>
    (await askOnce(rig.node.namespace.fd, host.address, 9080)).replace(/^\w+ saw (.+): x$/, "$1");
  const [probe, node] = ["169.254.7.127", "172.18.0.3"];
  const answers = async (): Promise<string[]> => [await asked(reviews), await asked(forger), await asked(legacy)];
  assert.deepEqual(await answers(), [probe, probe, node]);
  await rig.stopAgent();
  rig.startAgent();
  await until(() => ztunnel.events.filter(({ event }) => event === "keep").length >= 2);
  await rig.enrolled(...keys);
  assert.deepEqual(await answers(), [probe, probe, node], "after a restart");
  rig.pod("forger", forger, { "istio.io/dataplane-mode": "none" }, others);
  await until(async () => (await asked(forger)) === node);
  assert.deepEqual(await answers(), [probe, node, node], "without the forger");
});

test("an agent without ambient lets pods start outside the mesh, and one without DNS capture leaves their DNS alone", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  await rig.node.serveUdp("10.96.0.10", 53, "dns");
  rig.settings = { ...rig.settings, ambient: false };
  rig.startAgent();
  await until(() => existsSync(join(rig.directory, "bin/serin-cni")));
  const key = rig.pod("sleep", sleep);
  const pod = { name: "sleep", host: sleep };
  assert.equal((await rig.plugin("ADD", pod, resultOf(sleep))).code, 0);
  assert.equal((await rig.plugin("CHECK", pod, resultOf(sleep))).code, 0);
  assert.equal(hasCapture(sleep.namespace.fd), false);
  await rig.stopAgent();
  rig.settings = { ...rig.settings, ambient: true, dnsCapture: false };
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(key);
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[zt\]reviews/);
  assert.equal(await askUdp(sleep.namespace.fd, sleep, "10.96.0.10", 53, "who"), "dns answers who");
  await ztunnel.kill();
});
