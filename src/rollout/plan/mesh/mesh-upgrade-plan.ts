import type { UntypedObject } from "../../../api/index.ts";
import { checkDefaults, type CheckSpec, type CheckType, type MeshUpgrade, type ObjectReference } from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { canaryReplicasAnnotation, canaryRevisionAnnotation, stableReplicasAnnotation, ztunnelRevisionLabel } from "../labels.ts";
import { annotationPointer, labelPointer, reference, referenceTo } from "../references.ts";
import { probeObjects, probeSettle } from "../probe-objects.ts";
import { probeNamespace, type ProbeScope } from "../probe-pairs.ts";

/** What a mesh upgrade's plan is made from besides its spec: the cluster as it is now. */
export interface MeshWorld {
  /** What each install spec renders to, CRDs and shared objects included. */
  readonly installs: readonly (readonly UntypedObject[])[];
  readonly ambientNamespaces: readonly string[];
  /** Enrolled pods, whoever owns them now. */
  readonly enrolledPods: readonly { readonly name: string; readonly namespace: string }[];
  /** Gateways of our class that the old revision owns, or owned before the upgrade moved them. */
  readonly gateways: readonly GatewayInWorld[];
  /** The webhook configuration behind the tag `default`, when it names the old or the new revision. */
  readonly defaultTag: { readonly name: string; readonly webhooks: number } | undefined;
  /** What the old revision's control plane and ztunnel consist of. */
  readonly retirable: readonly ObjectReference[];
  /** The image of the engine itself, which also is the probe's. */
  readonly probeImage: string;
}

export interface GatewayInWorld {
  readonly name: string;
  readonly namespace: string;
  /** The gateway carried an explicit revision before the upgrade. */
  readonly labelled: boolean;
  readonly replicas: number;
}

/** The whole way of an upgrade, in order: pin, install, probe, move pods, move gateways, move tags, soak, retire, drain. */
export function planMeshUpgrade(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { spec } = upgrade;
  return [
    ...(spec.scope.ztunnel ? [pinStep(upgrade, world)] : []),
    ...installSteps(upgrade, world),
    ...(spec.scope.ztunnel ? ztunnelSteps(upgrade, world) : []),
    ...(spec.scope.gateways ? world.gateways.flatMap((gateway) => gatewaySteps(upgrade, gateway)) : []),
    ...(spec.scope.tags && world.defaultTag !== undefined ? [tagStep(upgrade, world)] : []),
    ...(spec.soakSeconds > 0 ? [soakStep(upgrade)] : []),
    ...retireSteps(upgrade, world),
  ];
}

/** Says what holds already, so that a second ztunnel on a node takes nothing before it is asked to. */
function pinStep({ spec }: MeshUpgrade, { ambientNamespaces }: MeshWorld): Step {
  return {
    id: "pin",
    title: `pin ${ambientNamespaces.length} namespaces to ${spec.from.revision}`,
    writes: ambientNamespaces.map((name) => ({
      type: "field",
      object: reference("v1", "Namespace", name),
      pointer: labelPointer(ztunnelRevisionLabel),
      value: spec.from.revision,
    })),
    settle: [],
    checks: [],
  };
}

function installSteps({ spec }: MeshUpgrade, { installs }: MeshWorld): Step[] {
  return installs.map((objects, index) => {
    const workloads = objects.filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet").map(referenceTo);
    return {
      id: `install-${index + 1}`,
      title: `install ${workloads.map(({ name }) => name).join(", ")}`,
      writes: objects.map((body): Write => ({ type: "create", body, object: referenceTo(body) })),
      settle: [{ type: "notRejected", revision: spec.to.revision }, ...workloads.map((object): SettleCondition => ({ type: "ready", object }))],
      checks: [],
    };
  });
}

function ztunnelSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { from, to, ztunnel } = upgrade.spec;
  const { maxConcurrent } = ztunnel;
  const revisions = [from.revision, to.revision];
  const probes: ProbeScope = { revisions, dataPlanes: ["ambient"] };
  const matrix = check(upgrade, "mtls-probe-matrix", { type: "probes", ...probes });
  const nacks = check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision });
  const probing: Step = {
    id: "probe",
    title: `probe ${revisions.join(" and ")} across`,
    writes: probeObjects({ ...probes, image: world.probeImage }).map((body): Write => ({ type: "create", body, object: referenceTo(body) })),
    settle: probeSettle(probes),
    checks: [matrix, nacks],
  };
  const moves: Step[] = [];
  for (let at = 0; at < world.enrolledPods.length; at += maxConcurrent) {
    const pods = world.enrolledPods.slice(at, at + maxConcurrent).map(({ name, namespace }) => reference("v1", "Pod", name, namespace));
    const names = pods.map(({ name, namespace }) => `${namespace ?? ""}/${name}`);
    moves.push({
      id: `move-${names.join("+")}`,
      title: `ztunnel of ${names.join(", ")} to ${to.revision}`,
      writes: pods.map((object) => ({ type: "field", object, pointer: labelPointer(ztunnelRevisionLabel), value: to.revision })),
      settle: pods.map((object) => ({ type: "owner", object, revision: to.revision })),
      checks: [matrix, check(upgrade, "tcp-connect-failures", { type: "mesh" })],
    });
  }
  return [probing, ...moves, adoptStep(upgrade, world)];
}

/** The namespace says it from now on, and the pods need no label of their own. */
function adoptStep({ spec }: MeshUpgrade, world: MeshWorld): Step {
  const { revision } = spec.to;
  const pods = world.enrolledPods.map(({ name, namespace }) => reference("v1", "Pod", name, namespace));
  return {
    id: "adopt",
    title: `namespaces name ${revision}`,
    writes: [
      ...world.ambientNamespaces.map((name): Write => ({
        type: "field",
        object: reference("v1", "Namespace", name),
        pointer: labelPointer(ztunnelRevisionLabel),
        value: revision,
      })),
      ...pods.map((object): Write => ({ type: "field", object, pointer: labelPointer(ztunnelRevisionLabel) })),
    ],
    settle: pods.map((object) => ({ type: "owner", object, revision })),
    checks: [],
  };
}

function gatewaySteps(upgrade: MeshUpgrade, gateway: GatewayInWorld): Step[] {
  const { from, to } = upgrade.spec;
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", gateway.name, gateway.namespace);
  const id = `gateway-${gateway.namespace}/${gateway.name}`;
  const stable = reference("apps/v1", "Deployment", `${gateway.name}-istio`, gateway.namespace);
  const canary = reference("apps/v1", "Deployment", `${gateway.name}-istio-${to.revision}`, gateway.namespace);
  const answers = check(upgrade, "request-success-rate", { type: "gatewayRevisions", gateway, canary: to.revision, stable: from.revision });
  const nacks = check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision });
  const annotate = (key: string, value?: string): Write => ({
    type: "field",
    object,
    pointer: annotationPointer(key),
    ...(value === undefined ? {} : { value }),
  });
  const acknowledged: SettleCondition = { type: "acknowledged", object };
  return [
    {
      id: `${id}-canary`,
      title: `gateway ${gateway.name}: one pod of ${to.revision} behind the same Service`,
      writes: [annotate(canaryRevisionAnnotation, to.revision), annotate(canaryReplicasAnnotation, String(gateway.replicas))],
      settle: [{ type: "ready", object: canary }, acknowledged],
      checks: [nacks, answers],
    },
    {
      id: `${id}-shift`,
      title: `gateway ${gateway.name}: all pods of ${to.revision}`,
      writes: [annotate(stableReplicasAnnotation, "0")],
      settle: [{ type: "ready", object: stable }, acknowledged],
      checks: [answers],
    },
    {
      id: `${id}-promote`,
      title: `gateway ${gateway.name} belongs to ${to.revision}`,
      writes: [{ type: "field", object, pointer: labelPointer("istio.io/rev"), value: to.revision }, annotate(stableReplicasAnnotation)],
      settle: [acknowledged, { type: "ready", object: stable }],
      checks: [answers],
    },
    {
      id: `${id}-finish`,
      title: `gateway ${gateway.name}: its canary leaves`,
      writes: [annotate(canaryRevisionAnnotation), annotate(canaryReplicasAnnotation)],
      settle: [acknowledged],
      checks: [],
    },
  ];
}

/** The tag `default` leads to the new revision; a gateway that named none before names none again. */
function tagStep({ spec }: MeshUpgrade, { defaultTag, gateways }: MeshWorld): Step {
  const object = reference("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", defaultTag?.name ?? "");
  const service = `istiod-${spec.to.revision}`;
  const webhooks = Array.from({ length: defaultTag?.webhooks ?? 0 }, (_, index): Write => ({
    type: "field",
    object,
    pointer: `/webhooks/${index}/clientConfig/service/name`,
    value: service,
  }));
  const labels = gateways
    .filter((gateway) => !gateway.labelled)
    .map(({ name, namespace }): Write => ({
      type: "field",
      object: reference("gateway.networking.k8s.io/v1", "Gateway", name, namespace),
      pointer: labelPointer("istio.io/rev"),
    }));
  return {
    id: "tags",
    title: `the tag default names ${spec.to.revision}`,
    writes: [...webhooks, { type: "field", object, pointer: labelPointer("istio.io/rev"), value: spec.to.revision }, ...(spec.scope.gateways ? labels : [])],
    settle: [],
    checks: [],
  };
}

function soakStep({ spec }: MeshUpgrade): Step {
  return { id: "soak", title: `soak for ${spec.soakSeconds} s`, writes: [], settle: [], checks: [], holdMs: spec.soakSeconds * 1000 };
}

function retireSteps(upgrade: MeshUpgrade, { retirable }: MeshWorld): Step[] {
  const { from, retire, approvals } = upgrade.spec;
  return [
    {
      id: "dependents",
      title: `nothing depends on ${from.revision}`,
      writes: [],
      settle: [{ type: "noDependents", revision: from.revision }],
      checks: [],
      ...(retire === "Manual" ? { pause: { approved: approvals.some(({ step }) => step === "dependents") } } : {}),
    },
    {
      id: "retire",
      title: `retire ${from.revision}`,
      writes: [
        ...(upgrade.spec.scope.ztunnel ? [{ type: "delete", object: reference("v1", "Namespace", probeNamespace) } as const] : []),
        ...retirable.map((object): Write => ({ type: "delete", object })),
      ],
      settle: [{ type: "podsGone", namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": from.revision } }],
      checks: [],
    },
    {
      id: "drain",
      title: `the last connections of ztunnel ${from.revision} end`,
      writes: [],
      settle: [{ type: "podsGone", namespace: "istio-system", labels: { app: "ztunnel", "istio.io/rev": from.revision } }],
      checks: [],
      patient: true,
    },
  ];
}

/** The spec's own limits for the type, else the defaults. */
function check({ spec }: MeshUpgrade, type: CheckType, subject: CheckSubject): PlannedCheck {
  const said: CheckSpec | undefined = spec.checks.find((candidate) => candidate.type === type);
  return { spec: said ?? { ...checkDefaults, type }, subject };
}
