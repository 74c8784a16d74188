import { counted } from "../../../base/index.ts";
import {
  canaryOfLabel,
  gatewayCanaryAnnotations as annotations,
  meshUpgradeKind,
  type MeshUpgrade,
  type ObjectReference,
} from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { isPuttingBack, isUnderWay } from "../../decide/index.ts";
import { annotationPointer, reference, targetError } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { PriorValues } from "./prior-values.ts";

const revisionPointer = annotationPointer(annotations.revision);
const replicasAnnotation = annotationPointer(annotations.replicas);
const beforeAnnotation = annotationPointer(annotations.replicasBefore);

/** A canary that an earlier upgrade has left. */
export interface LeftCanary {
  readonly pods: number;
  /**
   * The number of pods that the gateway had before the canary. 0 if an autoscaler decided the number. Absent if an
   * earlier release has made the canary.
   */
  readonly before?: number;
}

/**
 * The number of pods that a gateway is to have at the end, if an earlier upgrade has left a canary beside it. `stable`
 * is the number of pods of its own Deployment. The earlier upgrade may have started pods of the canary without having
 * removed as many others, so both together may be more than the gateway had before. A number that a person has given to
 * one of the Deployments meanwhile counts.
 */
export function gatewayPods(stable: number, { pods, before }: LeftCanary): number {
  const isGrown = before !== undefined && before > 0 && pods > before;
  if (stable === 0 || before === undefined || isGrown) return stable + pods;
  return Math.max(stable, Math.min(before, stable + pods));
}

type Annotations = Readonly<Record<string, string>>;

interface Sources {
  readonly view: Pick<ClusterView, "deployments">;
  readonly upgrade: MeshUpgrade;
  readonly prior: PriorValues;
}

/**
 * The canaries of gateways that an earlier upgrade has left. This upgrade takes over those of its new revision, and
 * refuses to begin beside any other.
 */
export class LeftCanaries {
  readonly #sources: Sources;
  readonly #refusals: Error[] = [];

  constructor(sources: Sources) {
    this.#sources = sources;
  }

  /**
   * The canary beside an installed gateway, before this upgrade. Undefined if there was none. The canary is a second
   * Deployment.
   */
  beside(gateway: ObjectReference): LeftCanary | undefined {
    return this.#beside(gateway, () => {
      const { name, namespace = "" } = gateway;
      this.#refuseOthers({ name, namespace, canary: this.#secondOf(gateway).name });
    });
  }

  /** The same as {@link beside}, for a gateway that the earlier upgrade has moved. Others do not matter then. */
  besideMoved(gateway: ObjectReference): LeftCanary | undefined {
    return this.#beside(gateway, () => undefined);
  }

  #beside(gateway: ObjectReference, whenUnknown: () => void): LeftCanary | undefined {
    const { view, prior } = this.#sources;
    const canary = this.#secondOf(gateway);
    const found = view.deployments.get(`${gateway.namespace ?? ""}/${canary.name}`);
    const isCanary = found?.metadata.labels?.[canaryOfLabel] === gateway.name;
    const pods = prior.replicas(canary, () => {
      whenUnknown();
      return isCanary ? (found.spec?.replicas ?? 1) : undefined;
    });
    return pods === undefined ? undefined : this.#left(canary, pods, found?.metadata.annotations);
  }

  #secondOf({ name, namespace }: ObjectReference): ObjectReference {
    return reference("apps/v1", "Deployment", `${name}-${this.#sources.upgrade.spec.to.revision}`, namespace);
  }

  /**
   * The canary that an earlier upgrade has left beside a Gateway of the Gateway API. The Gateway's control plane makes
   * it from the Gateway's annotations. `present`: the annotations that the Gateway has now. Undefined if there is no
   * canary of the new revision.
   */
  ofGateway(gateway: ObjectReference, present: Annotations = {}): LeftCanary | undefined {
    const { upgrade, prior } = this.#sources;
    const revision = prior.value(gateway, revisionPointer, present[annotations.revision]);
    const isOther = revision !== undefined && revision !== upgrade.spec.to.revision;
    if (isOther && !prior.has(gateway, revisionPointer))
      this.#refusals.push(otherAnnotated(gateway, revision, upgrade.spec.to.revision));
    return this.ofMovedGateway(gateway, present);
  }

  /** The same as {@link ofGateway}, for a Gateway that the earlier upgrade has moved. Others do not matter then. */
  ofMovedGateway(gateway: ObjectReference, present: Annotations = {}): LeftCanary | undefined {
    const { upgrade, prior } = this.#sources;
    const revision = prior.value(gateway, revisionPointer, present[annotations.revision]);
    if (revision !== upgrade.spec.to.revision) return undefined;
    const pods = countOf(prior.value(gateway, replicasAnnotation, present[annotations.replicas]));
    // Without a number, a control plane runs one pod.
    return this.#left(gateway, pods ?? 1, present);
  }

  #left(object: ObjectReference, pods: number, present: Annotations = {}): LeftCanary {
    const { prior } = this.#sources;
    const before = countOf(prior.value(object, beforeAnnotation, present[annotations.replicasBefore]));
    return { pods, ...(before === undefined ? {} : { before }) };
  }

  /**
   * Throws a user error if the upgrade cannot take over the canaries that `podsBeside` and `podsOf` have found. While
   * another upgrade is under way, the canaries belong to that upgrade, and this one waits for it.
   */
  async refuse(client: KubeClient): Promise<void> {
    const [refusal] = this.#refusals;
    if (refusal === undefined) return;
    const { uid } = this.#sources.upgrade.metadata;
    const { items } = await client.list(meshUpgradeKind);
    const isOther = ({ metadata, status }: MeshUpgrade): boolean =>
      metadata.uid !== uid && status !== undefined && (isUnderWay(status) || isPuttingBack(status));
    if (!items.some(isOther)) throw refusal;
  }

  /**
   * Records a refusal if a Deployment that is no canary has the canary's name. Also records one if there is a canary of
   * another revision, because it would get requests too.
   */
  #refuseOthers(of: { readonly name: string; readonly namespace: string; readonly canary: string }): void {
    const { name, namespace, canary } = of;
    for (const { metadata, spec } of this.#sources.view.deployments.list()) {
      const found = metadata.name ?? "";
      const isCanary = metadata.labels?.[canaryOfLabel] === name;
      if (metadata.namespace !== namespace || isCanary === (found === canary)) continue;
      this.#refusals.push(isCanary ? otherBeside(of, found, spec?.replicas ?? 1) : nameTaken(of));
    }
  }
}

/** The number in the annotation. Undefined without a valid number. */
function countOf(annotation: string | undefined): number | undefined {
  const count = Number(annotation);
  return annotation !== undefined && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

interface Beside {
  readonly name: string;
  readonly namespace: string;
  readonly canary: string;
}

function nameTaken({ name, namespace, canary }: Beside): Error {
  return targetError(
    "target-taken",
    `Deployment ${namespace}/${canary} exists already, and this upgrade makes a Deployment of that name beside ${namespace}/${name}`,
    "rename it, or delete it if nothing needs it; then the upgrade continues",
  );
}

function otherBeside({ name, namespace }: Beside, found: string, pods: number): Error {
  const kubectl = `kubectl -n ${namespace}`;
  return targetError(
    "target-taken",
    `Deployment ${namespace}/${found}, which an earlier upgrade has left, runs ${counted(pods, "pod")} of the gateway ${namespace}/${name}, and this upgrade moves the gateway to another revision`,
    `give ${namespace}/${name} the pods that it needs, and delete the other Deployment; then the upgrade continues: ${kubectl} scale deployment ${name} --replicas=N && ${kubectl} rollout status deployment ${name} && ${kubectl} delete deployment ${found}`,
  );
}

function otherAnnotated({ name, namespace = "" }: ObjectReference, revision: string, to: string): Error {
  const { revision: first, replicas, weight } = annotations;
  return targetError(
    "target-taken",
    `Gateway ${namespace}/${name} has a canary of ${revision}, which an earlier upgrade has left, and this upgrade moves it to ${to}`,
    `give its Deployment the pods that it needs, and remove the canary; then the upgrade continues: kubectl -n ${namespace} annotate gateways.gateway.networking.k8s.io ${name} ${first}- ${replicas}- ${weight}-`,
  );
}
