import { elsewhere, ofLabsAlone } from "../../support/expected-calls.ts";
import { eventually } from "../../support/eventually.ts";
import { visibleProcesses } from "../../support/processes.ts";
import { walkPorts, type WalkedPod } from "../../support/walk-ports.ts";
import { busyboxImage } from "../base-images.ts";
import type { Case } from "../bench.ts";
import { nodeAddress } from "../cluster-layout.ts";
import { ambient, deploymentObject, namespaceObject } from "../objects.ts";
import { applyText } from "./policies.ts";

const inside = "ports-inside";
const another = "ports-another";

export const portsCase: Case = {
  name: "ports",
  title: "the table in docs/security.md lists every open port, and each port answers only the callers in the table",
  after: ["install"],
  async run(bench) {
    const { cluster } = bench;
    const sleeping = (name: string, namespace: string): object =>
      deploymentObject({ name, namespace, image: busyboxImage, command: ["sleep", "infinity"] });
    try {
      await applyText(bench, [
        namespaceObject(inside, ambient),
        namespaceObject(another, { "istio-injection": "enabled" }),
        sleeping("asks", inside),
        sleeping("captured", inside),
        sleeping("asks", another),
      ]);
      await cluster.serin("waypoint", "apply", "-n", inside);
      await eventually("the waypoint has its Deployment", async () => {
        const { code } = await cluster.run(["kubectl", "get", "deployment", "waypoint", "-n", inside]);
        return code === 0;
      });
      for (const namespace of [inside, another]) await cluster.available(namespace);
      const pod = (namespace: string, selector: string): WalkedPod => ({ namespace, selector });
      const rows = await walkPorts({
        ok: async (line) => await cluster.ok(["sh", "-c", line]),
        processes: visibleProcesses,
        elsewhere: new Set([...elsewhere, ...ofLabsAlone]),
        sleepImage: busyboxImage,
        captured: pod(inside, "app=captured"),
        inside: pod(inside, "app=asks"),
        another: pod(another, "app=asks"),
        waypoint: pod(inside, "gateway.networking.k8s.io/gateway-name=waypoint"),
        nodes: { called: nodeAddress(1), calling: nodeAddress(2) },
      });
      return `${rows} rows as they stand, asked from a pod outside, a pod inside, another namespace, a node and the own pod`;
    } finally {
      // A later upgrade would wait for requests to these namespaces' sidecars. To delete a namespace with a waypoint
      // takes half of the waypoint's time to drain, so do not wait for it.
      await cluster.kubectl("delete", "namespace", inside, another, "--wait=false", "--ignore-not-found");
    }
  },
};
