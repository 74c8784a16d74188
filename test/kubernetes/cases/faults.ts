import { deploymentKind, podKind } from "../../../src/api/kubernetes/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeName, nodeNumbers, type NodeNumber } from "../cluster-layout.ts";
import { addressOf, shop } from "./bookinfo.ts";
import { scale, withTwoOfEverything } from "./drain.ts";

const apiServerAwayMs = 30_000;
const powerAwayMs = 5_000;
/** A request may still fail for this time after a killed container is ready, if it began before. */
const lateMs = 2_000;
/** The controller manager waits up to 30 s before it tries again to open a watch. */
const controllersReadyMs = 180_000;

/** The IDs of Serin's processes with a role on a node, found by their command lines. */
async function pidsOf({ cluster }: Bench, node: NodeNumber, role: string): Promise<string[]> {
  const { output } = await cluster.nodes[node].run(["pgrep", "-f", `/main\\.[jt]s ${role}( |$)`]);
  return output.trim().split("\n").filter(Boolean);
}

interface Kill extends Pick<Case, "name" | "title"> {
  /** What follows the program's path in the command line. */
  readonly role: string;
  /** Matches the errors of requests that may fail with a killed process. If absent, none may. */
  readonly excused?: RegExp;
  readonly after?: string;
  /**
   * A Deployment of bookinfo that gets a second pod for this case. When a Service loses its only endpoint and regains
   * it, kube-proxy writes two tables of iptables. A connection that is opened between the two writes is tracked without
   * an endpoint, and never gets an answer.
   */
  readonly doubled?: string;
}

/** Kills the role's processes on both nodes, one after another. Waits until each is replaced. */
function killCase({ name, role, title, excused, after = "bookinfo", doubled }: Kill): Case {
  return {
    name,
    title,
    after: [after],
    async run(bench) {
      const { client } = bench.cluster.api;
      const deployment = doubled === undefined ? undefined : await client.get(deploymentKind, doubled, shop);
      const deployments = deployment === undefined ? [] : [deployment];
      await scale(bench, deployments, 2);
      const killed = await killAll(bench, role, excused);
      await scale(bench, deployments, 1);
      return `${killed} killed, one after the other`;
    },
  };
}

/** Returns how many processes were killed. Requests may fail with these errors until the container is ready again. */
async function killAll(bench: Bench, role: string, excused: RegExp | undefined): Promise<number> {
  const { cluster, load } = bench;
  let killed = 0;
  for (const number of nodeNumbers) {
    const pids = await pidsOf(bench, number, role);
    for (const pid of pids) {
      const fromMs = Date.now();
      await cluster.nodes[number].ok(["kill", "-9", pid]);
      killed += 1;
      await eventually(`${role} runs again on n${number}`, async () => {
        const now = await pidsOf(bench, number, role);
        return now.length >= pids.length && !now.includes(pid);
      });
      await readyAgain(bench, nodeName(number), fromMs);
      if (excused !== undefined) bench.excuses.push({ cause: excused, fromMs, untilMs: Date.now() + lateMs });
      for (const namespace of ["istio-system", "serin-system", shop]) await cluster.available(namespace);
      await load.more(100);
    }
  }
  if (killed === 0) throw new Error(`no process ${role} on any node`);
  return killed;
}

/** Waits until a container that the node has started since then is ready. */
async function readyAgain({ cluster }: Bench, node: string, sinceMs: number): Promise<void> {
  // A container's start time is in whole seconds.
  const sinceSecondMs = Math.floor(sinceMs / 1_000) * 1_000;
  await eventually(`the killed container of ${node} is ready again`, async () => {
    const { items } = await cluster.api.client.list(podKind);
    return items
      .filter(({ spec }) => spec?.nodeName === node)
      .flatMap(({ status }) => status?.containerStatuses ?? [])
      .some(({ ready, state }) => ready === true && Date.parse(state?.running?.startedAt ?? "") >= sinceSecondMs);
  });
}

/** What clients see when a proxy is killed: its connections end, and nothing listens until it runs again. */
const withTheProxy = /ECONNRESET|EPIPE|ECONNREFUSED|closed|status 503/;

export const killCases: readonly Case[] = [
  killCase({ name: "kill-cni", role: "cni", title: "kill -9 of the CNI agents" }),
  killCase({
    name: "kill-ztunnel",
    role: "ztunnel",
    title: "kill -9 of the ztunnels",
    excused: /ECONNRESET|EPIPE|closed/,
  }),
  killCase({ name: "kill-istiod", role: "pilot", title: "kill -9 of istiod" }),
  killCase({ name: "kill-rollout", role: "rollout", title: "kill -9 of the rollout engine" }),
  killCase({
    name: "kill-gateway",
    role: "proxy proxy router",
    title: "kill -9 of the gateways",
    excused: withTheProxy,
    doubled: "bookinfo-gateway-istio",
  }),
  killCase({
    name: "kill-waypoint",
    role: "proxy proxy waypoint",
    title: "kill -9 of the waypoint",
    excused: withTheProxy,
    after: "waypoint",
  }),
];

/**
 * Waits until the controller manager sees its own writes of EndpointSlices again. Its watches break when the API server
 * ends. Until they are open again, Services keep pods that have ended. This happens without a mesh too.
 */
async function endpointsFollowPods({ cluster }: Bench): Promise<void> {
  const name = "endpoints-follow";
  const follows = async (selector: string, pattern: RegExp): Promise<void> => {
    await cluster.kubectl("set", "selector", `service/${name}`, selector, "-n", shop);
    const slices = ["endpointslices", "-n", shop, "-l", `kubernetes.io/service-name=${name}`];
    const jsonpath = "-o=jsonpath={.items[*].endpoints[*].addresses[*]}";
    await eventually(
      `the Service ${name} follows its selector ${selector}`,
      async () => pattern.test(await cluster.kubectl("get", ...slices, jsonpath)),
      controllersReadyMs,
    );
  };
  await cluster.kubectl("create", "service", "clusterip", name, "--tcp=9080:9080", "-n", shop);
  try {
    for (let round = 0; round < 2; round += 1) {
      await follows("app=details", /\d/);
      await follows("app=nobody", /^$/);
    }
  } finally {
    await cluster.kubectl("delete", "service", name, "-n", shop);
  }
}

export const apiServerCase: Case = {
  name: "apiserver",
  title: "the API server is away for 30 s",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await cluster.controlPlane.stop("kube-apiserver", "SIGKILL");
    await systemClock.sleep(apiServerAwayMs);
    await load.more(50);
    cluster.controlPlane.start("kube-apiserver");
    await cluster.apiServerReady();
    for (const program of ["kube-controller-manager", "kube-scheduler"] as const) cluster.controlPlane.start(program);
    await cluster.nodesReady();
    await cluster.available("istio-system");
    await endpointsFollowPods(bench);
    await load.more(100);
    return "the mesh goes on with what it knows";
  },
};

export const runtimesCase: Case = {
  name: "runtimes",
  title: "on each node, kubelet and containerd are killed and started again",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    // After a restart, a kubelet of 1.32 reports its pods as not ready until their next probes. A Service with one pod
    // would then have no endpoint.
    await withTwoOfEverything(bench, async () => {
      for (const number of nodeNumbers) {
        for (const program of ["kubelet", "containerd"] as const) {
          cluster.nodes[number].order({ program, signal: "SIGKILL", start: true });
          await systemClock.sleep(3_000);
          await load.more(50);
        }
        await cluster.nodesReady();
        await cluster.available(shop);
      }
    });
    await cluster.available(shop);
    await cluster.available("istio-system");
    return "both nodes are ready";
  },
};

/**
 * Waits until the kubelet has started each container of the node's pods again. Before that, the API server shows the
 * states from before the power failure, so everything seems to be ready.
 */
async function startedAgain({ cluster }: Bench, node: string, sinceMs: number): Promise<void> {
  await eventually(`every container of ${node} was started again, and is ready`, async () => {
    const { items } = await cluster.api.client.list(podKind);
    return items
      .filter(({ spec, status }) => spec?.nodeName === node && status?.phase === "Running")
      .flatMap(({ status }) => status?.containerStatuses ?? [])
      .every(({ ready, state }) => ready === true && Date.parse(state?.running?.startedAt ?? "") >= sinceMs);
  });
}

async function everythingAnswers(bench: Bench): Promise<void> {
  const { cluster } = bench;
  await cluster.nodesReady();
  for (const namespace of ["kube-system", "istio-system", shop]) await cluster.available(namespace);
  await cluster.kubectl("rollout", "status", "daemonset/ztunnel", "-n", "istio-system", "--timeout=120s");
  const details = `http://details.${shop}:9080/details/0`;
  await eventually("a pod of the mesh is answered", async () => {
    const { code } = await cluster.ask({ namespace: shop, pod: "deploy/productpage-v1", seconds: 3 }, details);
    return code === 0;
  });
  const url = `http://${await addressOf(bench, "bookinfo-gateway-istio", shop)}/productpage`;
  await eventually(`${url} answers`, async () => (await cluster.run(["curl", "-sf", "-m", "3", url])).code === 0);
}

/** Requests to pods of the lost node fail in any cluster, so the load pauses while the node is down. */
export const rebootCase: Case = {
  name: "reboot",
  title: "a node loses power and starts again",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await load.pause();
    const begun = performance.now();
    let seconds = 0;
    try {
      await cluster.nodes[2].powerOff();
      const offMs = Date.now();
      await systemClock.sleep(powerAwayMs);
      await cluster.nodes[2].powerOn();
      await startedAgain(bench, nodeName(2), offMs);
      await everythingAnswers(bench);
      seconds = Math.round((performance.now() - begun) / 1000);
    } finally {
      // Later cases need the load.
      await load.resume();
    }
    await load.more(100);
    return `everything is available again after ${seconds} s, ${powerAwayMs / 1000} of them without power`;
  },
};
