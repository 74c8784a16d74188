import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import { cniSteps } from "./cni-steps.ts";
import type { MeshWorld } from "./mesh-world.ts";

test("the step of the CNI agent names the release of an image with a digest", () => {
  const titleOf = (image: string): string => {
    const agent = {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      metadata: { name: "istio-cni-node", namespace: "istio-system" },
      spec: { template: { spec: { containers: [{ name: "install-cni", image }] } } },
    };
    const cni = { objects: [agent], existing: [], nodes: ["n1"] };
    const steps = cniSteps({} as MeshUpgrade, { cni } as unknown as MeshWorld, undefined);
    return steps.find(({ id }) => id === "cni")?.title ?? "";
  };
  const digest = `@sha256:${"0a".repeat(32)}`;
  assert.match(titleOf(`hub:5000/install-cni:1.2.3${digest}`), /^CNI agent 1\.2\.3 on 1 node,/);
  assert.match(titleOf(`hub:5000/install-cni${digest}`), /^CNI agent on 1 node,/);
});
