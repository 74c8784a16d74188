import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { NftNetlink } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import { clusterNetwork, connectionLoop, redirection, Rig, ZtunnelProcess } from "./testing/agent-rig.ts";
import { askOnce, askUdp, TestClient, type TestPodHost } from "./testing/test-node.ts";

requireOwnNetwork();

/** Sends a query to {@link nameServer}, from the same port each time. */
const askName = (pod: TestPodHost): Promise<string> =>
  Promise.race([
    askUdp(pod.namespace.fd, { address: pod.address, port: 40_053 }, nameServer, 53, "who"),
    new Promise<string>((resolve) => setTimeout(resolve, 3000, "no answer within 3 s").unref()),
  ]).catch((error: unknown) => String(error));
const nameServer = "10.96.0.10";

/**
 * A clock whose sleep of 3 s ends only when the test says so. In this sleep, peers learn that a pod accepts only plain
 * text.
 */
class LeaveClock implements Clock {
  #passedMs = 0;
  readonly #held = new Set<() => void>();

  nowMs(): number {
    return systemClock.nowMs();
  }
  steadyMs(): number {
    return this.#passedMs;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return ms === 3000 ? new Promise((resolve) => this.#held.add(resolve)) : systemClock.sleep(ms, signal);
  }
  after(ms: number, run: () => void): Disposable {
    if (ms !== 3000) return systemClock.after(ms, run);
    this.#held.add(run);
    return { [Symbol.dispose]: () => void this.#held.delete(run) };
  }

  get holds(): number {
    return this.#held.size;
  }
  pass(): void {
    this.#passedMs += 3000;
    const due = [...this.#held];
    this.#held.clear();
    for (const run of due) run();
  }
}

test("un-enrolment lets DNS queries pass, even from a port whose query the ztunnel has answered", async (context) => {
  const rig = new Rig(context);
  const sleep = rig.node.addPod();
  const clock = new LeaveClock();
  rig.clock = clock;
  await rig.node.serveUdp(nameServer, 53, "the cluster");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  const key = rig.pod("sleep", sleep);
  await rig.enrolled(key);
  assert.equal(await askName(sleep), "zt answers who");
  rig.cluster.namespaces.set({ metadata: { name: "default" } });
  await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[redirection] === undefined);
  await until(() => clock.holds === 1);
  assert.match(await askName(sleep), /answers who$/);
  clock.pass();
  await until(() => ztunnel.events.some(({ event }) => event === "delete"));
  assert.equal(await askName(sleep), "the cluster answers who");
});

test("un-enrolment lets traffic pass at once and keeps open connections", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  await rig.enrolled(rig.pod("sleep", sleep), rig.pod("reviews", reviews));
  const long = await TestClient.connect(sleep.namespace.fd, reviews.address, 9080);
  context.after(() => long.close());
  await long.ask("one");
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  rig.cluster.namespaces.set({ metadata: { name: "default" } });
  for (const key of ["default/sleep", "default/reviews"])
    await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[redirection] === undefined);
  const { faults } = await loop.stop();
  assert.deepEqual(faults, []);
  const before = ztunnel.connections().length;
  assert.equal(await askOnce(sleep.namespace.fd, reviews.address, 9080), `reviews saw ${sleep.address}: x`);
  assert.equal(ztunnel.connections().length, before);
  assert.match(await long.ask("two"), /: two$/);
});

test("a pod that leaves the mesh is served by its ztunnel until its peers know, and may come back meanwhile", async (context) => {
  const rig = new Rig(context);
  const clock = new LeaveClock();
  rig.clock = clock;
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(sleep, 9080, "sleep");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  const key = rig.pod("reviews", reviews);
  await rig.enrolled(key);
  const count = (event: string): number => ztunnel.events.filter((each) => each.event === event).length;
  const knockOnHbone = async (): Promise<string> => {
    try {
      (await TestClient.connect(sleep.namespace.fd, reviews.address, 15_008)).close();
      return "open";
    } catch {
      return "refused";
    }
  };
  const leave = async (): Promise<void> => {
    rig.cluster.label(key, { "istio.io/dataplane-mode": "none" });
    await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[redirection] === undefined);
    await until(() => clock.holds === 1);
  };
  await leave();
  assert.doesNotMatch(await askOnce(reviews.namespace.fd, sleep.address, 9080), /^\[zt\]/);
  assert.deepEqual([count("delete"), await knockOnHbone(), rig.enrolledPods()], [0, "open", []]);

  rig.cluster.label(key, {});
  await rig.enrolled(key);
  assert.match(await askOnce(reviews.namespace.fd, sleep.address, 9080), /^\[zt\]/);
  clock.pass();
  assert.deepEqual([count("add"), count("delete"), await knockOnHbone()], [1, 0, "open"]);

  await leave();
  clock.pass();
  await until(() => count("delete") === 1);
  await until(async () => (await knockOnHbone()) === "refused");
});

test("a pod that left the mesh while no agent ran is served by its ztunnel until its peers know", async (context) => {
  const rig = new Rig(context);
  const clock = new LeaveClock();
  rig.clock = clock;
  const reviews = rig.node.addPod();
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  const key = rig.pod("reviews", reviews);
  await rig.enrolled(key);
  await rig.stopAgent();
  rig.cluster.label(key, { "istio.io/dataplane-mode": "none" });
  await until(() => ztunnel.snapshots() === 1);
  rig.startAgent();
  await rig.cluster.until(key, (pod) => pod?.metadata.annotations?.[redirection] === undefined);
  await until(() => clock.holds === 1);
  assert.equal(ztunnel.snapshots(), 1, "the ztunnel drops what the snapshot does not name");
  clock.pass();
  await until(() => ztunnel.snapshots() === 2);
});

test("a restarted agent lets no ztunnel keep pods that left the mesh while no agent ran, however many", async (context) => {
  const rig = new Rig(context);
  const hosts = Array.from({ length: 20 }, () => rig.node.addPod());
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "one");
  await rig.enrolled(...hosts.map((host, index) => rig.pod(`p${index}`, host)));
  await until(() => ztunnel.snapshots() > 0);
  await rig.stopAgent();
  rig.cluster.namespaces.set({ metadata: { name: "default" } });
  rig.startAgent();
  await until(() => ztunnel.snapshots() === 2);
  assert.deepEqual(
    ztunnel.events.filter(({ event }) => event === "keep"),
    [],
  );
});

test("a ztunnel drops a pod that is deleted before the restarted agent has found it", async (context) => {
  const rig = new Rig(context);
  rig.showProcesses();
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "one");
  const key = rig.pod("sleep", rig.node.addPod());
  await rig.enrolled(key);
  await until(() => ztunnel.snapshots() > 0);
  await rig.stopAgent();
  rig.hideProcesses();
  rig.startAgent();
  await until(() => ztunnel.snapshots() === 2);
  assert.ok(ztunnel.events.some(({ event }) => event === "keep"));
  rig.cluster.pods.delete(key);
  await until(() => ztunnel.events.some(({ event }) => event === "delete"));
});

test("an agent that is uninstalled releases every pod under load and removes all of its state from the node", async (context) => {
  const rig = new Rig(context);
  const [sleep, reviews] = [rig.node.addPod(), rig.node.addPod()];
  await rig.node.serve(reviews, 9080, "reviews");
  rig.startAgent();
  const ztunnel = new ZtunnelProcess(rig.socket, "zt");
  const keys = [rig.pod("sleep", sleep), rig.pod("reviews", reviews)];
  await rig.enrolled(...keys);
  const conflist = join(rig.directory, "net.d/10-ptp.conflist");
  await until(() => readFileSync(conflist, "utf8").includes("serin-cni"));
  const long = await TestClient.connect(sleep.namespace.fd, reviews.address, 9080);
  context.after(() => long.close());
  await long.ask("one");
  const loop = connectionLoop(context, sleep, reviews.address, 9080);
  assert.match(await askOnce(sleep.namespace.fd, reviews.address, 9080), /^\[zt\]reviews/);
  await rig.node.serveUdp(nameServer, 53, "the cluster");
  assert.equal(await askName(sleep), "zt answers who");
  rig.end = "uninstalled";
  await rig.stopAgent();
  const { faults, answers } = await loop.stop();
  assert.deepEqual(faults, []);
  assert.match(answers[0] ?? "", /^\[zt\]reviews/);
  assert.match(answers.at(-1) ?? "", /^reviews/);
  assert.match(await long.ask("two"), /: two$/);
  const before = ztunnel.connections().length;
  assert.equal(await askOnce(sleep.namespace.fd, reviews.address, 9080), `reviews saw ${sleep.address}: x`);
  assert.equal(ztunnel.connections().length, before);
  assert.equal(await askName(sleep), "the cluster answers who");
  for (const key of keys) assert.equal(rig.cluster.annotation(key, redirection), undefined);
  assert.equal(readFileSync(conflist, "utf8"), clusterNetwork);
  assert.deepEqual(readdirSync(join(rig.directory, "net.d")), ["10-ptp.conflist"]);
  assert.deepEqual(readdirSync(join(rig.directory, "bin")), ["ptp"]);
  assert.ok(!existsSync(join(rig.directory, "plugin.sock")));
  using nft = new NftNetlink(rig.node.namespace.fd);
  assert.deepEqual(nft.tables("inet"), []);
});
