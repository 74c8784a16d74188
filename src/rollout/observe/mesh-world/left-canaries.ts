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
   * The number of pods of the canary beside an installed gateway, before this upgrade. Undefined if there was none. The
   * canary is a second Deployment.
   */
  podsBeside({ name, namespace = "" }: ObjectReference): number | undefined {
    const { view, upgrade, prior } = this.#sources;
    const canary = reference("apps/v1", "Deployment", `${name}-${upgrade.spec.to.revision}`, namespace);
    return prior.replicas(canary, () => {
      this.#refuseOthers({ name, namespace, canary: canary.name });
      const found = view.deployments.get(`${namespace}/${canary.name}`);
      return found === undefined ? undefined : (found.spec?.replicas ?? 1);
    });
  }

  /**
   * The number of pods of a canary that an earlier upgrade has left beside a Gateway of the Gateway API. The Gateway's
   * control plane makes this canary from the Gateway's annotations. `present`: those that it has now. Undefined if
   * there is no canary of the new revision.
   */
  podsOf(gateway: ObjectReference, present: Readonly<Record<string, string>> = {}): number | undefined {
    const { upgrade, prior } = this.#sources;
    const { to } = upgrade.spec;
    const revision = prior.value(gateway, revisionPointer, present[annotations.revision]);
    if (revision === undefined) return undefined;
    if (revision === to.revision)
      return countOf(prior.value(gateway, replicasAnnotation, present[annotations.replicas]));
    if (!prior.has(gateway, revisionPointer)) this.#refusals.push(otherAnnotated(gateway, revision, to.revision));
    return undefined;
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

/** The number in the annotation. Without a valid number, a control plane runs one pod. */
function countOf(annotation: string | undefined): number {
  const count = Number(annotation);
  return annotation !== undefined && Number.isSafeInteger(count) && count >= 0 ? count : 1;
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
