import { appCanary } from "../../../scripts/proofs/upgrade-proof/app-canary.ts";
import { canaryObjects } from "../../../scripts/proofs/upgrade-proof/objects.ts";
import { canaryKind } from "../../../src/api/serin/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeNumbers } from "../cluster-layout.ts";
import { defaultCpuRequest, namespaceObject } from "../objects.ts";
import { root } from "../real-cluster.ts";
import { shop } from "./bookinfo.ts";
import { applyText } from "./policies.ts";

const sidecars = "sidecars";

export const waypointCase: Case = {
  name: "waypoint",
  title: "a namespace is enrolled at a waypoint under load",
  after: ["bookinfo"],
  async run({ cluster, load }) {
    await cluster.serin("waypoint", "apply", "-n", shop, "--enroll-namespace");
    await cluster.available(shop);
    await eventually("bookinfo's reviews are bound to the waypoint", async () => {
      const text = await cluster.kubectl("get", "service", "reviews", "-n", shop, "-o", "json");
      return /"istio.io\/WaypointBound"/.test(text) && /attached to waypoint/.test(text);
    });
    await load.more(200);
    const loadPod = { namespace: shop, pod: "deploy/load", withHead: true };
    const answer = await cluster.answer(loadPod, `http://reviews.${shop}:9080/reviews/0`);
    if (!/server: istio-envoy/i.test(answer))
      throw new Error(`the answer did not come through the waypoint:\n${answer}`);
    return "answers come through it";
  },
};

export const sidecarCase: Case = {
  name: "sidecar",
  title: "an ambient pod calls an application with sidecars, also after kill -9 of these sidecars",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster } = bench;
    await applyText(bench, [namespaceObject(sidecars, { "istio-injection": "enabled" }), defaultCpuRequest(sidecars)]);
    await cluster.kubectl("apply", "-n", sidecars, "-f", `${root}/samples/helloworld/helloworld.yaml`);
    await cluster.available(sidecars);
    const pods = await cluster.kubectl(
      "get",
      "pods",
      "-n",
      sidecars,
      "-o",
      "jsonpath={.items[*].spec['containers','initContainers'][*].name}",
    );
    if (!pods.includes("istio-proxy")) throw new Error(`no sidecar was injected: ${pods}`);
    const answers = await bothAnswer(bench);
    for (const number of nodeNumbers)
      await cluster.nodes[number].run(["pkill", "-9", "-f", "/main\\.[jt]s proxy proxy sidecar"]);
    await eventually("the killed sidecars are started again", async () => {
      const counts = "jsonpath={.items[*].status['containerStatuses','initContainerStatuses'][*].restartCount}";
      const restarts = await cluster.kubectl("get", "pods", "-n", sidecars, "-o", counts);
      return restarts.split(" ").filter((count) => count !== "0").length >= 2;
    });
    await cluster.available(sidecars);
    await bothAnswer(bench);
    await cluster.kubectl("delete", "namespace", sidecars, "--wait=false");
    return `${answers}, and again after kill -9 of their sidecars`;
  },
};

async function bothAnswer({ cluster }: Bench): Promise<string> {
  const answers = new Set<string>();
  await eventually("both versions answer", async () => {
    const url = `http://helloworld.${sidecars}:5000/hello`;
    const { code, output } = await cluster.ask({ namespace: shop, pod: "deploy/load" }, url);
    if (code === 0) answers.add(/version: (v\d)/.exec(output)?.[1] ?? output);
    return answers.size === 2;
  });
  return [...answers].sort().join(" and ");
}

export const canaryCase: Case = {
  name: "canary",
  title: "a Canary moves the requests for the page to another Deployment in steps, and judges these requests",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster } = bench;
    await cluster.api.apply(canaryObjects(), shop);
    await cluster.available(shop);
    const checks = [{ type: "request-success-rate", minSamples: 20, timeoutSeconds: 90 }];
    await cluster.api.apply([appCanary("page", checks, [25, 100])]);
    const ended = await eventually(
      "the Canary has ended",
      async () => {
        const { status } = (await cluster.api.client.get(canaryKind, "page", shop)) ?? {};
        return ["Completed", "RolledBack", "Stuck"].includes(status?.phase ?? "") ? status : undefined;
      },
      240_000,
    );
    if (ended.phase !== "Completed")
      throw new Error(`the Canary ended as ${ended.phase}: ${ended.cause ?? ended.message}`);
    return `completed in ${ended.completedSteps.length} steps`;
  },
};
