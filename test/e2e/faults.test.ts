// Kills processes of a lab's mesh with -9, one after another, under load through a gateway and under writes by kubectl.
// No request fails, no acknowledged write is lost, and every process restarts by itself.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { configMapKind } from "../../src/api/kubernetes/index.ts";
import { createLogger, systemClock } from "../../src/base/index.ts";
import { createInformer, createKubeClient, loadKubeConfig } from "../../src/kube/index.ts";
import { setBookinfoStage } from "../support/bookinfo-stage.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { withNewestKubectl } from "../support/kubectls.ts";
import { LabCluster, root } from "../support/lab-cluster.ts";

const lab = withNewestKubectl(() => new LabCluster("faults"));

const ok = lab.ok.bind(lab);

/** A client with an account of its own: its start needs the scheduler, a node, the CNI agent, istiod and a ztunnel. */
const client = (name: string): string => `apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}}
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  serviceAccountName: ${name}
  terminationGracePeriodSeconds: 0
  containers: [{name: curl, image: curlimages/curl, command: [/bin/sleep, infinity]}]
`;

const writePauseMs = 300;
/**
 * The number of requests after each of the six faults, and the least number of all writes. Neither depends on the
 * machine's speed.
 */
const requestsAfterFault = 34;
const leastWrites = 21;

/** Writes by kubectl, one after another. Each creates an object, and increments a counter in another. */
class Writes {
  readonly made: string[] = [];
  counted = 0;
  refused = 0;
  #stopping = false;
  readonly #ended: Promise<void>;

  constructor() {
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    for (let number = 1; !this.#stopping; number += 1) {
      const name = `write-${number}`;
      const made = await lab.run(["kubectl", "create", "configmap", name, `--from-literal=number=${number}`]);
      if (made.code === 0) this.made.push(name);
      else this.refused += 1;
      const counted = await lab.run([
        "kubectl",
        "patch",
        "configmap",
        "count",
        "--type=merge",
        "-p",
        JSON.stringify({ data: { number: String(number) } }),
      ]);
      if (counted.code === 0) this.counted = number;
      else this.refused += 1;
      // Pause, because the start of a kubectl takes ten times the CPU time of its write.
      await systemClock.sleep(writePauseMs);
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }
}

describe("faults under load and writes", { concurrency: 1 }, () => {
  let load: GatewayLoad;
  let writes: Writes;

  before(async () => {
    const created = await lab.createTwoNodes();
    assert.equal(created.code, 0, created.output);
    const url = await setBookinfoStage(lab, { releaseRoot: root });
    await ok(["kubectl", "create", "configmap", "count"]);
    load = new GatewayLoad(lab, url);
    writes = new Writes();
    await load.begun();
  });

  after(async () => await lab.delete());

  const faults = [
    { what: "the API server", role: "cluster-apiserver" },
    { what: "the controllers", role: "cluster-controllers" },
    { what: "an istiod", role: "pilot" },
    { what: "the CNI agents", role: "cni" },
    { what: "the node processes", role: "cluster-node" },
  ];
  for (const { what, role } of faults) {
    test(`${what} killed with -9: no request fails, and it restarts by itself`, async () => {
      const victims = lab.ofRole(role);
      assert.ok(victims.length > 0, `a process of role ${role}`);
      const failedBefore = load.failures.length;
      for (const { pid } of victims) process.kill(pid, "SIGKILL");
      const name = `after-${role}`;
      await eventually(
        "kubectl is heard",
        async () => (await lab.run(["kubectl", "apply", "-f", "-"], { input: client(name) })).code === 0,
      );
      await eventually("the successors run", () => {
        const now = lab.ofRole(role);
        return now.length === victims.length && now.every(({ pid }) => victims.every((victim) => victim.pid !== pid));
      });
      await ok(["kubectl", "wait", "--for=condition=Ready", "pod", name, "--timeout=30s"]);
      // Only a new client needs the process that was killed. The load shows that existing ones do not.
      const command = ["kubectl", "exec", name, "--", "curl", "-s", "-m", "5", "http://productpage:9080/productpage"];
      await eventually("the new client is served", async () =>
        (await lab.run(command)).output.includes("Simple Bookstore App"),
      );
      const redirection = await ok([
        "kubectl",
        "get",
        "pod",
        name,
        "-o",
        "jsonpath={.metadata.annotations.ambient\\.istio\\.io/redirection}",
      ]);
      assert.equal(redirection, "enabled");
      await load.more(requestsAfterFault);
      assert.deepEqual(load.failures.slice(failedBefore), []);
    });
  }

  test("the API server is killed with -9 again and again while eight clients write: no acknowledged write is lost, versions only grow, a watch misses nothing", async () => {
    await eventually("there are enough writes by kubectl", () => writes.made.length >= leastWrites);
    await writes.stop();
    const log = createLogger({ scope: "test", level: "error", write: () => undefined });
    const connection = createKubeClient(await loadKubeConfig(join(lab.directory, "../.kube/config")), {
      log,
      clock: systemClock,
    });
    const stop = new AbortController();
    const informer = createInformer(connection, configMapKind, { log, clock: systemClock, labelSelector: "writer" });
    const watching = informer.run(stop.signal);
    const acknowledged = new Map<string, bigint>();
    const enough = new AbortController();
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let number = 0; !enough.signal.aborted; number += 1) {
        const name = `kept-${writer}-${number}`;
        try {
          const made = await connection.create(configMapKind, {
            apiVersion: "v1",
            kind: "ConfigMap",
            metadata: { name, namespace: "default", labels: { writer: String(writer) } },
            data: { number: String(number) },
          });
          acknowledged.set(name, BigInt(made.metadata.resourceVersion ?? 0));
        } catch {
          // The write was refused or cut off, so it was not acknowledged.
          await systemClock.sleep(20);
        }
      }
    });
    for (let kill = 0; kill < 4; kill += 1) {
      const had = acknowledged.size;
      const highest = [...acknowledged.values()].reduce((most, version) => (version > most ? version : most), 0n);
      const before = new Set(acknowledged.keys());
      const victim = await eventually("an API server runs", () => lab.ofRole("cluster-apiserver")[0]);
      process.kill(victim.pid, "SIGKILL");
      const flying = 8;
      await eventually("writes are acknowledged again", () => acknowledged.size > had + 4 * flying);
      // The killed server may have sent the first answers. Its successor has sent the later ones.
      const later = [...acknowledged].filter(([name]) => !before.has(name)).slice(flying);
      assert.deepEqual(
        later.filter(([, version]) => version <= highest),
        [],
      );
    }
    enough.abort();
    await Promise.all(writers);
    const there = new Set(
      (await connection.list(configMapKind, { namespace: "default" })).items.map(({ metadata }) => metadata.name),
    );
    assert.deepEqual(
      [...acknowledged.keys()].filter((name) => !there.has(name)),
      [],
    );
    await eventually("the watch has told everything", () =>
      [...acknowledged.keys()].every((name) => informer.get(`default/${name}`) !== undefined),
    );
    stop.abort();
    await watching;
    connection.close();
    await load.more(requestsAfterFault);
    assert.deepEqual(load.failures, []);
  });

  test("no request has failed, no acknowledged write of kubectl is lost, and no application pod was restarted", async () => {
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(load.requests > 200, `${load.requests} requests`);
    assert.ok(writes.made.length > 20, `${writes.made.length} writes, ${writes.refused} refused`);
    const there = new Set((await ok(["kubectl", "get", "configmaps", "-o", "name"])).split("\n"));
    assert.deepEqual(
      writes.made.filter((name) => !there.has(`configmap/${name}`)),
      [],
    );
    const counted = Number(await ok(["kubectl", "get", "configmap", "count", "-o", "jsonpath={.data.number}"]));
    assert.ok(counted >= writes.counted, `acknowledged ${writes.counted}, found ${counted}`);
    const restarts = await ok([
      "kubectl",
      "get",
      "pods",
      "-o",
      "jsonpath={.items[*].status.containerStatuses[*].restartCount}",
    ]);
    assert.match(restarts, /^[0 ]+$/);
  });
});
