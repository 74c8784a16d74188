import { counted } from "../../../base/index.ts";
import { imageTag } from "../../../api/images/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { referenceTo } from "../references.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { check } from "./planned-check.ts";

/** The fields of the agent's objects whose values differ between releases. */
const contents: Readonly<Record<string, readonly string[]>> = {
  ConfigMap: ["data"],
  ClusterRole: ["rules"],
  Role: ["rules"],
};
const oneByOne = { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } as const;

/**
 * Replaces the agent node by node. The DaemonSet controller replaces the next agent only when the previous agent is
 * ready. Enrolled pods keep their rules and sockets.
 */
export function cniSteps(upgrade: MeshUpgrade, { cni }: MeshWorld, matrix: PlannedCheck | undefined): Step[] {
  if (cni === undefined) return [];
  const { nodes, objects } = cni;
  const agents = objects.filter(({ kind }) => kind === "DaemonSet");
  const [agent] = agents;
  if (agent === undefined) return [];
  const object = referenceTo(agent);
  const sameRules = nodes.map((node): SettleCondition => ({ type: "cniOfNode", node, object }));
  const version = imageTag(imageOf(agent));
  const checks = matrix === undefined ? [] : [matrix, check(upgrade, "tcp-connect-failures", { type: "mesh" })];
  return [
    {
      id: "cni/before",
      title: `record the rules of enrolled pods on ${counted(nodes.length, "node")} before the CNI agent is replaced`,
      writes: [],
      settle: sameRules,
      checks: [],
    },
    {
      id: "cni",
      title: `CNI agent${version === "" ? "" : ` ${version}`} on ${counted(nodes.length, "node")}, one after the other`,
      writes: [
        ...objects.filter(({ kind }) => kind !== "DaemonSet").flatMap((body) => writesOf(body, cni.existing)),
        ...agentWrites(agent),
      ],
      settle: [{ type: "ready", object }, ...sameRules],
      checks,
      // The step is not patient. Its settle limit starts again with each node that becomes ready, so an agent that
      // never becomes ready fails the step.
    },
  ];
}

function writesOf(body: UntypedObject, existing: readonly string[]): Write[] {
  const object = referenceTo(body);
  const create: Write = { type: "create", body, object };
  if (!existing.includes(`${object.kind} ${object.name}`)) return [create];
  return (contents[object.kind] ?? []).flatMap((field): Write[] =>
    body[field] === undefined ? [] : [{ type: "field", object, pointer: `/${field}`, value: body[field] }],
  );
}

function agentWrites(agent: UntypedObject): Write[] {
  const object = referenceTo(agent);
  return [
    { type: "field", object, pointer: "/spec/updateStrategy", value: oneByOne },
    {
      type: "field",
      object,
      pointer: "/spec/template",
      value: (agent["spec"] as { template: unknown }).template,
      restart: "template",
    },
  ];
}

function imageOf(agent: UntypedObject): string {
  const { template } = agent["spec"] as { template?: { spec?: { containers?: readonly { image?: string }[] } } };
  return template?.spec?.containers?.[0]?.image ?? "";
}
