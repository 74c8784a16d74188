import assert from "node:assert/strict";
import { parseCanary, type Canary, type RolloutStatus } from "../../../../api/serin/index.ts";
import type { Step, Write } from "../../../decide/index.ts";
import { planCanary } from "../canary-plan.ts";
import type { CanaryWorld, DeploymentInWorld } from "../canary-world.ts";

export const template = (image: string): Record<string, unknown> => ({
  metadata: { labels: { app: "web" } },
  spec: { containers: [{ name: "web", image }] },
});

export const deployment: DeploymentInWorld = {
  object: { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "shop" },
  uid: "u",
  candidate: "c",
  idle: false,
  labels: { app: "web" },
  replicas: 4,
  selector: { matchLabels: { app: "web" } },
  spec: { minReadySeconds: 1 },
  stableTemplate: template("web:1"),
  stableHash: "old",
  candidateTemplate: template("web:2"),
  service: { ports: [{ name: "http", port: 80 }], selector: { app: "web" } },
};

export function plan(
  spec: object,
  target: object = {},
  found: Partial<DeploymentInWorld> = {},
  status?: RolloutStatus,
): Step[] {
  const parsed = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { deployment: { name: "web", service: "web", ...target } }, ...spec },
  });
  assert.deepEqual(parsed.errors, []);
  const world: CanaryWorld = { routes: [], subjects: [], missingGrants: [], deployment: { ...deployment, ...found } };
  return planCanary({ ...(parsed.value as Canary), ...(status === undefined ? {} : { status }) }, world);
}

export function written(step: Step | undefined, at = 0): unknown {
  const write: Write | undefined = step?.writes[at];
  return write?.type === "field" ? write.value : write?.type === "create" ? write.body["spec"] : undefined;
}

export const ids = (steps: readonly Step[]): string[] => steps.map(({ id }) => id);
export const by = (steps: readonly Step[], id: string): Step | undefined => steps.find((step) => step.id === id);
