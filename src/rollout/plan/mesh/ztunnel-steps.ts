import { counted } from "../../../base/index.ts";
import { ztunnelRevisionLabel, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { SettleCondition, Step, Write } from "../../decide/index.ts";
import { labelPointer, reference } from "../references.ts";
import { matrixCheck } from "./install-steps.ts";
import type { EnrolledPod, MeshWorld } from "./mesh-world.ts";
import { withoutOvertaken } from "../overtaken-steps.ts";
import { check } from "./planned-check.ts";
import { revisionLabel } from "./sidecar-steps.ts";
import type { PlannedWave } from "./waves.ts";

/**
 * Labels the nodes or the ambient namespaces with the current revision, so that a second ztunnel does not take over the
 * pods of a node too early.
 */
export function pinSteps({ spec }: MeshUpgrade, { namespaces, ztunnelNodes }: MeshWorld): Step[] {
  const pinned = namespaces.filter(({ ambient, enrolledPods }) => ambient || enrolledPods.length > 0);
  if (spec.ztunnel.by === "Node" && ztunnelNodes.length > 0) {
    const writes = ztunnelNodes.map((name): Write => ({
      type: "field",
      object: reference("v1", "Node", name),
      pointer: labelPointer(revisionLabel),
      value: spec.from.revision,
    }));
    return [
      {
        id: "pin",
        title: `pin ${counted(ztunnelNodes.length, "node")} to ztunnel ${spec.from.revision}`,
        writes,
        settle: [],
        checks: [],
      },
    ];
  }
  if (pinned.length === 0) return [];
  return [
    {
      id: "pin",
      title: `pin ${counted(pinned.length, "ambient namespace")} to ztunnel ${spec.from.revision}`,
      writes: pinned.map(({ name }) => ({
        type: "field",
        object: reference("v1", "Namespace", name),
        pointer: labelPointer(ztunnelRevisionLabel),
        value: spec.from.revision,
      })),
      settle: [],
      checks: [],
      namespaces: pinned.map(({ name }) => name),
    },
  ];
}

/**
 * Moves all pods of a node at once, at most `maxConcurrent` nodes at a time. A label of a pod or of its namespace would
 * override the node's.
 */
export function nodeSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { to, ztunnel } = upgrade.spec;
  if (ztunnel.by !== "Node") return [];
  const pods = world.namespaces
    .filter(({ labels }) => labels[ztunnelRevisionLabel] === undefined)
    .flatMap(({ enrolledPods }) => enrolledPods);
  const steps: Step[] = [];
  for (let at = 0; at < world.ztunnelNodes.length; at += ztunnel.maxConcurrent) {
    const nodes = world.ztunnelNodes.slice(at, at + ztunnel.maxConcurrent);
    steps.push({
      id: `ztunnel/${nodes.join("+")}`,
      title: `ztunnel of ${nodes.join(", ")} to ${to.revision}`,
      writes: nodes.map((name) => ({
        type: "field",
        object: reference("v1", "Node", name),
        pointer: labelPointer(revisionLabel),
        value: to.revision,
      })),
      settle: pods
        .filter(({ node }) => nodes.includes(node))
        .map((pod): SettleCondition => ({ type: "owner", object: podReference(pod), revision: to.revision })),
      checks: [matrixCheck(upgrade, world), check(upgrade, "tcp-connect-failures", { type: "mesh" })],
    });
  }
  return steps;
}

export function ztunnelSteps(upgrade: MeshUpgrade, world: MeshWorld, planned: PlannedWave): Step[] {
  const namespaces = planned.namespaces.filter(
    ({ isWhole, ambient, enrolledPods }) => isWhole && (ambient || enrolledPods.length > 0),
  );
  if (namespaces.length === 0 || upgrade.spec.ztunnel.by === "Node") return [];
  return upgrade.spec.ztunnel.by === "Namespace"
    ? byNamespace(upgrade, world, planned, namespaces)
    : byPod(upgrade, world, planned, namespaces);
}

type AmbientNamespace = PlannedWave["namespaces"][number];

/**
 * Moves single pods, at most `maxConcurrent` at a time. The size of a step doubles each time, so that many pods need
 * few steps. Pods that have moved come first in the list, so that a pod that ends meanwhile does not change finished
 * steps.
 */
function byPod(
  upgrade: MeshUpgrade,
  world: MeshWorld,
  planned: PlannedWave,
  namespaces: readonly AmbientNamespace[],
): Step[] {
  const { to, ztunnel } = upgrade.spec;
  const pods = namespaces
    .flatMap(({ enrolledPods }) => enrolledPods)
    .toSorted((a, b) => Number(b.owner === to.revision) - Number(a.owner === to.revision));
  const steps: Step[] = [];
  for (let size = ztunnel.maxConcurrent, taken = 0; taken < pods.length; taken += size, size *= 2) {
    const targets = pods.slice(0, taken + size);
    const added = targets.length - taken;
    steps.push({
      id: `${planned.wave.name}/ztunnel-${steps.length + 1}`,
      title: `ztunnel of ${addedPods(added, pods.length, steps.length === 0)} of ${namesOf(namespaces)} to ${to.revision}`,
      writes: dueMoves(targets, to.revision, ztunnel.maxConcurrent).map((object) => ({
        type: "field",
        object,
        pointer: labelPointer(ztunnelRevisionLabel),
        value: to.revision,
      })),
      settle: targets.map((pod): SettleCondition => ({
        type: "owner",
        object: podReference(pod),
        revision: to.revision,
      })),
      ...judged(upgrade, world, planned, namespaces),
    });
  }
  return withoutOvertaken([...steps, adoptStep(upgrade, planned, namespaces)], upgrade.status);
}

/** The pods that have moved, and those that may move next. */
function dueMoves(
  pods: readonly EnrolledPod[],
  revision: string,
  maxConcurrent: number,
): ReturnType<typeof podReference>[] {
  const moved = pods.filter(({ owner }) => owner === revision);
  const waiting = pods.filter(({ owner }) => owner !== revision);
  return [...moved, ...waiting.slice(0, maxConcurrent)].map(podReference);
}

function podReference({ name, namespace }: EnrolledPod) {
  return reference("v1", "Pod", name, namespace);
}

/** Labels the namespaces with the new revision, so that the pods need no labels of their own any more. */
function adoptStep(
  { spec }: MeshUpgrade,
  { wave, number }: PlannedWave,
  namespaces: readonly AmbientNamespace[],
): Step {
  const pods = namespaces.flatMap(({ enrolledPods }) => enrolledPods).map(podReference);
  return {
    id: `${wave.name}/adopt`,
    title: `new pods of ${namesOf(namespaces)} use ztunnel ${spec.to.revision}`,
    writes: [
      ...namespaces.map(({ name }): Write => ({
        type: "field",
        object: reference("v1", "Namespace", name),
        pointer: labelPointer(ztunnelRevisionLabel),
        value: spec.to.revision,
      })),
      ...pods.map((object): Write => ({ type: "field", object, pointer: labelPointer(ztunnelRevisionLabel) })),
    ],
    settle: pods.map((object) => ({ type: "owner", object, revision: spec.to.revision })),
    checks: [],
    namespaces: namespaces.map(({ name }) => name),
    ordinal: number,
  };
}

function byNamespace(
  upgrade: MeshUpgrade,
  world: MeshWorld,
  planned: PlannedWave,
  namespaces: readonly AmbientNamespace[],
): Step[] {
  const { to, ztunnel } = upgrade.spec;
  const steps: Step[] = [];
  for (let at = 0; at < namespaces.length; at += ztunnel.maxConcurrent) {
    const batch = namespaces.slice(at, at + ztunnel.maxConcurrent);
    steps.push({
      id: `${planned.wave.name}/ztunnel-${batch.map(({ name }) => name).join("+")}`,
      title: `ztunnel of ${namesOf(batch)} to ${to.revision}`,
      writes: batch.map(({ name }) => ({
        type: "field",
        object: reference("v1", "Namespace", name),
        pointer: labelPointer(ztunnelRevisionLabel),
        value: to.revision,
      })),
      settle: batch
        .flatMap(({ enrolledPods }) => enrolledPods)
        .map((pod): SettleCondition => ({ type: "owner", object: podReference(pod), revision: to.revision })),
      ...judged(upgrade, world, planned, batch),
    });
  }
  return steps;
}

function judged(
  upgrade: MeshUpgrade,
  world: MeshWorld,
  { wave, number }: PlannedWave,
  namespaces: readonly AmbientNamespace[],
): Pick<Step, "checks" | "namespaces" | "ordinal"> {
  return {
    checks: [matrixCheck(upgrade, world, wave), check(upgrade, "tcp-connect-failures", { type: "mesh" }, wave)],
    namespaces: namespaces.map(({ name }) => name),
    ordinal: number,
  };
}

const maxNamed = 3;

/** The names as text, such as `shop`, or `shop, stock, web and 7 more namespaces`. */
export function namesOf(namespaces: readonly { readonly name: string }[]): string {
  const named = namespaces.slice(0, maxNamed).map(({ name }) => name);
  const more = namespaces.length - named.length;
  return more === 0 ? named.join(", ") : `${named.join(", ")} and ${counted(more, "more namespace")}`;
}

function addedPods(added: number, all: number, isFirst: boolean): string {
  if (added === all) return "all pods";
  return `${added} ${isFirst ? "" : "more "}${added === 1 ? "pod" : "pods"}`;
}
