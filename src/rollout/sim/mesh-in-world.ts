import type { UntypedObject } from "../../api/index.ts";
import {
  gatewayCanaryAnnotations,
  type JournalEntry,
  type MeshUpgrade,
  type ObjectReference,
  parseMeshUpgrade,
} from "../../api/serin/index.ts";
import { invariant } from "../../base/index.ts";
import { type Step, referenceKey } from "../decide/index.ts";
import {
  type ClassicGatewayInWorld,
  type EnrolledPod,
  type GatewayInWorld,
  type MeshWorld,
  type NamespaceInWorld,
  type ScaledDeployment,
  type WorkloadInWorld,
  annotationPointer,
  planMeshUpgrade,
  reference,
  referenceTo,
  webhooksLedTo,
} from "../plan/index.ts";
import { gatewayPods, type LeftCanary } from "../observe/mesh-world/left-canaries.ts";
import { PriorValues } from "../observe/mesh-world/prior-values.ts";
import type { ModelObject } from "./model-object.ts";
import {
  type SimMesh,
  system,
  tagPointer,
  rev,
  ztunnelRev,
  meshNames,
  type SimUpgrade,
  isSidecar,
  isAmbient,
  hasAmbient,
  labelOf,
  podRev,
  restartPointer,
  workloadsOf,
  podNames,
  podsOf,
  apiGateway,
  isApi,
  stableOf,
  classicNames,
  classicReference,
  classicBody,
  serviceOf,
  type SimService,
  retiredParts,
} from "./sim-mesh.ts";

/** The part of the model that the plan of an upgrade reads. */
export interface MeshObjects {
  readonly nowMs: number;
  readonly endedNamespaces?: ReadonlySet<string>;
  /** The revision that injected the pods, by the workload's key. */
  readonly injected?: ReadonlyMap<string, unknown>;
  find(object: ObjectReference): ModelObject | undefined;
}

/** The ztunnel that serves a pod, by the label of the pod, or else of its namespace, or else of its node. */
export function ownerOf(objects: MeshObjects, { name, namespace = "" }: ObjectReference): string {
  const upgrade = name.slice(name.lastIndexOf("-") + 1);
  const names = meshNames(upgrade);
  const revisions = [
    objects.find(reference("v1", "Pod", name, namespace))?.fields.get(ztunnelRev),
    objects.find(reference("v1", "Namespace", namespace))?.fields.get(ztunnelRev),
    objects.find(names.node)?.fields.get(rev),
  ].find((value) => value !== undefined);
  return typeof revisions === "string" ? revisions : names.from;
}

const autoscaleMs = 3500;

function scaledTo(objects: MeshObjects, { autoscaled }: SimMesh, most: number): number {
  if (autoscaled !== true) return most;
  return 1 + (Math.floor(objects.nowMs / autoscaleMs) % most);
}

function enrolled(
  objects: MeshObjects,
  { name, mesh }: Required<Pick<SimUpgrade, "name" | "mesh">>,
  moves: readonly string[],
) {
  return moves.map((namespace, index): EnrolledPod[] =>
    isAmbient(mesh, index)
      ? podsOf(name, namespace)
          .slice(0, scaledTo(objects, mesh, podNames.length))
          .map((pod) => ({
            name: pod.name,
            namespace,
            node: meshNames(name).node.name,
            owner: ownerOf(objects, pod),
          }))
      : [],
  );
}

function namespacesInWorld(
  objects: MeshObjects,
  { name, moves = [], mesh }: SimUpgrade & { readonly mesh: SimMesh },
  mark: string,
): NamespaceInWorld[] {
  const { to, tag } = meshNames(name);
  const pods = enrolled(objects, { name, mesh }, moves);
  return moves.map((namespace, index) => ({
    name: namespace,
    labels: {},
    ...(isSidecar(mesh, index)
      ? {
          injection: {
            label: "istio.io/rev" as const,
            value: labelOf(name, mesh),
            ...(mesh.by === "tag" ? { tag } : {}),
          },
        }
      : {}),
    labelled: objects.find(reference("v1", "Namespace", namespace))?.fields.get(rev) === to,
    workloads: workloadsOf({ name, mesh }, namespace, index).map(({ object, byPodLabel }): WorkloadInWorld => ({
      object,
      labels: {},
      byPodLabel,
      state: stateOf(objects, object, to, mark),
    })),
    leftToEnd: [],
    ambient: isAmbient(mesh, index),
    enrolledPods: pods[index] ?? [],
  }));
}

/**
 * The progress of a workload. One that somebody has made again needs no restart if its pods started with the new
 * sidecar.
 */
function stateOf(objects: MeshObjects, object: ObjectReference, to: string, mark: string): WorkloadInWorld["state"] {
  const found = objects.find(object);
  const hasOldPods = objects.injected?.get(referenceKey(object)) !== to;
  if (found === undefined || (hasOldPods && !isRestartedFor(found, to, mark))) return "waiting";
  return objects.nowMs >= found.readyAtMs ? "moved" : "moving";
}

/** Whether the template has the mark of the upgrade's restart, or the revision's label. */
export function isRestartedFor({ fields }: ModelObject, revision: string, mark: string): boolean {
  return fields.get(restartPointer) === mark || fields.get(podRev) === revision;
}

const parsedSpecs = new WeakMap<object, MeshUpgrade["spec"]>();

/**
 * The spec of the simulated upgrade, as the real parser returns it. Every round needs it, so it is parsed only once.
 */
export function meshUpgradeSpec(sim: SimUpgrade & { readonly mesh: SimMesh }): MeshUpgrade["spec"] {
  const spec = parsedSpecs.get(sim) ?? parsedSpec(sim);
  parsedSpecs.set(sim, spec);
  return spec;
}

function parsedSpec({ name, mesh }: SimUpgrade & { readonly mesh: SimMesh }): MeshUpgrade["spec"] {
  const { from, to } = meshNames(name);
  const parsed = parseMeshUpgrade({
    metadata: { name },
    spec: {
      from: { revision: from },
      to: { revision: to, ...(mesh.installs ? { install: [{ revision: to }] } : {}) },
      gateways: { weights: mesh.weights },
      ztunnel: { by: mesh.ztunnelBy, maxConcurrent: 2 },
      soakSeconds: 5,
      retire: mesh.retire,
    },
  });
  invariant(parsed.value !== undefined, JSON.stringify(parsed.errors));
  return parsed.value.spec;
}

/** The plan of the upgrade for the present state of the model, made by the real planner. */
export function meshSteps(
  objects: MeshObjects,
  sim: SimUpgrade & { readonly mesh: SimMesh },
  {
    spec: { approvals },
    status,
  }: Pick<MeshUpgrade, "status"> & { readonly spec: Pick<MeshUpgrade["spec"], "approvals"> },
  journal: readonly JournalEntry[],
): Step[] {
  const upgrade: MeshUpgrade = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name: sim.name, uid: sim.name },
    spec: { ...meshUpgradeSpec(sim), approvals },
    ...(status === undefined ? {} : { status }),
  };
  const before = new GatewaysBefore(objects, journal, sim.mesh);
  return planMeshUpgrade(upgrade, worldOf(objects, sim, { mark: `${upgrade.spec.to.revision}.${sim.name}`, before }));
}

function worldOf(
  objects: MeshObjects,
  sim: SimUpgrade & { readonly mesh: SimMesh },
  { mark, before }: { readonly mark: string; readonly before: GatewaysBefore },
): MeshWorld {
  const { name, moves = [], mesh } = sim;
  const names = meshNames(name);
  const [first = "a"] = moves;
  const parts = (revision: string): ObjectReference[] => [
    names.istiod(revision),
    ...(hasAmbient(mesh, moves) ? [names.ztunnel(revision)] : []),
  ];
  return {
    installs: mesh.installs
      ? [parts(names.to).map(({ apiVersion, kind, ...metadata }) => ({ apiVersion, kind, metadata: placed(metadata) }))]
      : [],
    namespaces: namespacesInWorld(objects, sim, mark).filter(({ name: namespace }) => !hasEnded(objects, namespace)),
    gateways: mesh.gateways
      .filter((kind) => isApi(kind) && !hasEnded(objects, first))
      .map((kind): GatewayInWorld => ({
        name: `${kind}-${name}`,
        namespace: first,
        waypoint: kind === "waypoint",
        label: names.from,
        followsNamespace: false,
        ...before.movedBy(apiGateway(name, kind, first), names.to),
        deployments: [before.ofGateway(stableOf(name, kind, first), apiGateway(name, kind, first), names.to)],
      }))
      .filter(
        ({ moved, name: gateway }) =>
          moved !== true ||
          before.hasCanary(reference("gateway.networking.k8s.io/v1", "Gateway", gateway, first), names.to),
      ),
    classicGateways: classicNames(name, mesh)
      .map((gateway) => classicGateway(objects, gateway, { to: names.to, mesh, before }))
      .filter(({ moved, deployment: { left } }) => moved !== true || left !== undefined),
    tags:
      mesh.by === "tag"
        ? [
            {
              tag: names.tag,
              fields: webhooksLedTo(names.injector, [{ service: calledBy(objects, names.injector) }], {
                service: serviceOf(names.istiod(names.to)),
              }),
              objects: [],
            },
          ]
        : [],
    ...retiredParts(sim, parts(names.from)),
    injectors: [],
    ztunnelNodes: hasAmbient(mesh, moves) ? [names.node.name] : [],
    probeImage: "serin",
    dataPlanes: [
      ...(moves.some((_one, index) => isSidecar(mesh, index)) ? (["sidecar"] as const) : []),
      ...(hasAmbient(mesh, moves) ? (["ambient"] as const) : []),
    ],
  };
}

/** The Service that a tag's webhook calls. Its names are empty if the webhook calls none. */
export function calledBy(objects: Pick<MeshObjects, "find">, injector: ObjectReference): SimService {
  const found = objects.find(injector)?.fields.get(tagPointer) as SimService | undefined;
  return found ?? { name: "", namespace: "" };
}

function hasEnded({ endedNamespaces }: MeshObjects, namespace: string): boolean {
  return endedNamespaces?.has(namespace) === true;
}

function placed({ name, namespace }: Pick<ObjectReference, "name" | "namespace">): UntypedObject["metadata"] {
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

/** The numbers of gateways' pods before the upgrade, derived from the journal as in the real observer. */
class GatewaysBefore {
  readonly #objects: MeshObjects;
  readonly #prior: PriorValues;
  readonly #mesh: SimMesh;

  constructor(objects: MeshObjects, journal: readonly JournalEntry[], mesh: SimMesh) {
    this.#objects = objects;
    this.#prior = new PriorValues(journal);
    this.#mesh = mesh;
  }

  /** Whether the gateway's own label named the new revision before the upgrade. */
  movedBy(gateway: ObjectReference, to: string): { readonly moved?: true } {
    const revision = this.#prior.value(gateway, rev, this.#objects.find(gateway)?.fields.get(rev));
    return revision === to ? { moved: true } : {};
  }

  /** Whether the Gateway had a canary of the new revision before the upgrade. */
  hasCanary(gateway: ObjectReference, to: string): boolean {
    const revision = this.#objects.find(gateway)?.fields.get(canaryRevision);
    return this.#prior.value(gateway, canaryRevision, revision) === to;
  }

  /** The Deployment of a Gateway of the Gateway API, which may be a waypoint. */
  ofGateway(stable: ObjectReference, gateway: ObjectReference, to: string): ScaledDeployment {
    if (gateway.name.startsWith("waypoint-")) return this.#scaled(stable, undefined);
    if (!this.hasCanary(gateway, to)) return this.#scaled(stable, undefined);
    const found = this.#objects.find(gateway)?.fields;
    const pods = countOf(this.#prior.value(gateway, canaryReplicas, found?.get(canaryReplicas)));
    return this.#scaled(stable, this.#left(gateway, pods));
  }

  ofInstalled(stable: ObjectReference, canary: ObjectReference): ScaledDeployment {
    const found = this.#objects.find(canary);
    const now = found === undefined ? undefined : countOf(found.fields.get("/spec/replicas"));
    const pods = this.#prior.replicas(canary, () => now);
    return this.#scaled(stable, pods === undefined ? undefined : this.#left(canary, pods));
  }

  /** A canary that an earlier upgrade has left. `object` has the annotation with the gateway's number of pods. */
  #left(object: ObjectReference, pods: number): LeftCanary {
    const found = this.#objects.find(object)?.fields.get(replicasBefore);
    const before = this.#prior.value(object, replicasBefore, found);
    return { pods, ...(before === undefined ? {} : { before: Number(before) }) };
  }

  #scaled(stable: ObjectReference, left: LeftCanary | undefined): ScaledDeployment {
    const { name } = stable;
    const { autoscaled = false, replicas: most } = this.#mesh;
    const found = this.#objects.find(stable)?.fields.get("/spec/replicas");
    const own = autoscaled
      ? scaledTo(this.#objects, this.#mesh, most)
      : countOf(this.#prior.value(stable, "/spec/replicas", found));
    return {
      name,
      replicas: autoscaled || left === undefined ? own : gatewayPods(own, left),
      autoscaled,
      ...(left === undefined ? {} : { left: { stable: own, canary: left.pods } }),
    };
  }
}

function classicGateway(
  objects: MeshObjects,
  name: string,
  { to, mesh, before }: { readonly to: string; readonly mesh: SimMesh; readonly before: GatewaysBefore },
): ClassicGatewayInWorld {
  const object = classicReference(name);
  const canary = { ...object, name: `${object.name}-${to}` };
  const body: UntypedObject = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: placed(object),
    spec: {
      replicas: mesh.replicas,
      selector: { matchLabels: { gateway: name } },
      template: classicBody(name, to),
    },
  };
  invariant(referenceTo(body).name === object.name, "a gateway has one name");
  return {
    namespace: system,
    ...before.movedBy(object, to),
    deployment: before.ofInstalled(object, canary),
    body,
    parts: [],
    readyCanaryPods: readyPodsOf(objects, objects.find(canary)),
  };
}

export const canaryRevision = annotationPointer("rollout.serin.dev/canary-revision");

const replicasBefore = annotationPointer(gatewayCanaryAnnotations.replicasBefore);

export const canaryReplicas = annotationPointer("rollout.serin.dev/canary-replicas");

export function readyPodsOf({ nowMs }: MeshObjects, deployment: ModelObject | undefined): number {
  if (deployment === undefined) return 0;
  const wantedReplicas = countOf(deployment.fields.get("/spec/replicas"));
  return nowMs >= deployment.readyAtMs ? wantedReplicas : Math.min(wantedReplicas, deployment.readyBefore ?? 0);
}

/** The number of pods in a field. An absent field means one pod. */
export function countOf(value: unknown): number {
  return value === undefined ? 1 : Number(value);
}
