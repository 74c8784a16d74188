import type { FieldEntry } from "../../decide/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { resolveRevision, istioLabels } from "../../../api/istio/index.ts";
import type { Deployment, PodTemplate } from "../../../api/kubernetes/index.ts";
import {
  canaryOfLabel,
  gatewayCanaryAnnotations as annotations,
  type ObjectReference,
} from "../../../api/serin/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import { annotationPointer, reference, referenceTo, revisionLabel, tagLabel } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { controlPlaneDeployments, controlPlaneRevision } from "../pilot-answers.ts";
import { withPodReason } from "../pod-reason.ts";
import { lackedPods, readyState } from "../ready-state.ts";

const canaryPointers: ReadonlySet<string> = new Set(
  [annotations.revision, annotations.replicas, annotations.weight].map(annotationPointer),
);

interface Sources {
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  /**
   * Whether undo no longer waits for the pods that a gateway lacked before the rollout. By default it waits for them
   * too, because the gateway may have lacked them only for a moment.
   */
  readonly passOver: boolean;
}

/** How many ready pods an object lacks now. A Gateway lacks those that its own Deployments lack, without its canary. */
export function lackedPodsOf(view: ClusterView, object: UntypedObject, { kind }: ObjectReference): number {
  if (kind !== "Gateway") return lackedPods(object, kind);
  return ownDeployments(view, object).reduce(
    (sum, deployment) => sum + lackedPods(deployment as unknown as UntypedObject, "Deployment"),
    0,
  );
}

function ownDeployments(view: ClusterView, { metadata: { name = "", namespace = "" } }: UntypedObject): Deployment[] {
  return view.deployments
    .list()
    .filter(
      ({ metadata }) =>
        metadata.namespace === namespace &&
        metadata.labels?.[istioLabels.gatewayName] === name &&
        metadata.labels[canaryOfLabel] === undefined,
    );
}

/**
 * Why a field of a gateway or waypoint cannot be restored yet: the restored value would remove pods, and those that
 * would take over are not ready. Undefined for all other fields.
 */
export async function heldByGateway(
  sources: Sources,
  entry: FieldEntry,
  current: UntypedObject,
  found: unknown,
): Promise<string | undefined> {
  if (entry.object.kind === "Gateway" && canaryPointers.has(entry.pointer) && isLess(entry.prior, found))
    // Without this annotation the canary is being deleted, so the other annotations keep no pods.
    if (current.metadata.annotations?.[annotations.revision] !== undefined)
      return await stableMissing(sources, current, entry.lacked);
  if (entry.object.kind === "Deployment" && entry.pointer === "/spec/replicas" && isLess(entry.prior, found))
    return current.metadata.labels?.[canaryOfLabel] === undefined
      ? await canaryMissing(sources, entry.object, current)
      : await stableOfCanaryMissing(sources, current);
  return undefined;
}

function isLess(prior: unknown, found: unknown): boolean {
  return prior === undefined || Number(prior) < Number(found);
}

async function stableMissing(
  { objects, view, passOver }: Sources,
  gateway: UntypedObject,
  lackedBefore = 0,
): Promise<string | undefined> {
  const { name = "", namespace = "" } = gateway.metadata;
  const revision = ownerOf(view, gateway);
  const own = ownDeployments(view, gateway);
  const lacked = passOver ? lackedBefore : 0;
  if (own.length === 0) return `the Deployment of Gateway ${namespace}/${name} does not exist yet`;
  for (const { metadata } of own) {
    const object = reference("apps/v1", "Deployment", metadata.name ?? "", namespace);
    const deployment = await objects.get(object);
    const runs = revisionOf(deployment);
    if (runs !== revision && isRevision(view, revision))
      return `${object.name} is at ${runs}, and not yet at ${revision}`;
    const ready = withPodReason(readyState(deployment, object, { minReplicas: 1, lacked }), deployment, view);
    if (ready.state !== "met") return ready.detail;
  }
  return undefined;
}

/**
 * The revision of a Deployment. Istio's control planes write it only into the pod template, and Serin's also as a label
 * of the Deployment.
 */
function revisionOf(deployment: UntypedObject | undefined): string {
  const { template } = (deployment?.["spec"] ?? {}) as { readonly template?: PodTemplate };
  const { annotations: written, labels } = template?.metadata ?? {};
  return (
    written?.[revisionLabel] ?? labels?.[revisionLabel] ?? deployment?.metadata.labels?.[revisionLabel] ?? "default"
  );
}

/** The name of the revision that makes a Gateway's pods, by its own label, its namespace's, or the default tag. */
function ownerOf(view: ClusterView, { metadata: { namespace = "", labels = {} } }: UntypedObject): string {
  const ofNamespace = view.namespaces.get(namespace)?.metadata.labels?.[revisionLabel];
  return resolveRevision({ own: labels[revisionLabel], namespace: ofNamespace }, (name) => {
    const tag = view.injectors.list().find(({ metadata }) => metadata.labels?.[tagLabel] === name);
    return tag?.metadata.labels?.[revisionLabel];
  });
}

function isRevision(view: ClusterView, name: string): boolean {
  return controlPlaneDeployments(view).some((deployment) => controlPlaneRevision(deployment) === name);
}

/**
 * Why the Deployment of a gateway cannot take over yet from a canary that an earlier upgrade has left, so that undo
 * cannot yet give the canary its former number of pods. Undo has reverted the later steps by now, so the Deployment has
 * its former number too.
 */
async function stableOfCanaryMissing(
  { objects, view, passOver }: Sources,
  { metadata: { namespace = "", labels = {} } }: UntypedObject,
): Promise<string | undefined> {
  if (passOver) return undefined;
  const object = reference("apps/v1", "Deployment", labels[canaryOfLabel] ?? "", namespace);
  const stable = await objects.get(object);
  if (stable === undefined) return undefined;
  const ready = withPodReason(readyState(stable, object), stable, view);
  return ready.state === "met" ? undefined : ready.detail;
}

async function canaryMissing(
  { objects, view }: Sources,
  { name, namespace = "" }: ObjectReference,
  deployment: UntypedObject,
): Promise<string | undefined> {
  const { labels = {} } = deployment.metadata;
  const gateway =
    labels[istioLabels.gatewayName] ??
    (/^(Ingress|Egress)Gateways$/.test(labels["operator.istio.io/component"] ?? "") ? name : undefined);
  if (gateway === undefined) return undefined;
  const canary = view.deployments
    .list()
    .find(({ metadata }) => metadata.namespace === namespace && metadata.labels?.[canaryOfLabel] === gateway);
  if (canary === undefined) return `the canary of ${name} does not exist yet`;
  const object = referenceTo(canary as unknown as UntypedObject);
  const found = await objects.get({ ...object, apiVersion: "apps/v1", kind: "Deployment", plural: "deployments" });
  const ready = withPodReason(readyState(found, object, { minReplicas: 1 }), found, view);
  return ready.state === "met" ? undefined : ready.detail;
}
