import { istioAnnotations } from "../../api/istio/index.ts";
import { isFinishedPod, podKind, type Pod } from "../../api/kubernetes/index.ts";
import { counted, messageOf } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { readJson } from "./cluster-facts.ts";
import { unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

interface RuntimeClass {
  readonly metadata?: { readonly name?: string };
  readonly handler?: string;
}

const subject = "sandbox";
const path = "/apis/node.k8s.io/v1/runtimeclasses";
/**
 * Handlers of gVisor, Kata Containers and runtimes based on these. Their sandboxes have network stacks of their own, so
 * packets do not pass the rules in the pod's network namespace.
 */
const ownStack = /^(gvisor|runsc|kata|rund)/i;

/**
 * Finds pods of the mesh whose sandbox hides their traffic from the mesh. Lists pods only if the cluster has such
 * sandboxes.
 */
export async function sandboxFindings(client: KubeClient): Promise<ClusterFinding[]> {
  const read = await readJson<{ readonly items?: readonly RuntimeClass[] }>(client, path);
  if (read.state === "forbidden") return [unseen(subject, "runtimeclasses.node.k8s.io", read.reason)];
  const classes = (read.state === "read" ? (read.value.items ?? []) : []).filter(({ handler = "" }) =>
    ownStack.test(handler),
  );
  if (classes.length === 0) return [];
  try {
    const { items } = await client.list(podKind);
    const inMesh = items.filter(isInMesh);
    return classes.flatMap((runtimeClass) => findingOf(runtimeClass, inMesh));
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return [unseen(subject, "pods", messageOf(error))];
    throw error;
  }
}

function isInMesh({ metadata: { annotations = {} }, status }: Pod): boolean {
  return (
    !isFinishedPod({ status }) &&
    (annotations[istioAnnotations.ambientRedirection] === "enabled" ||
      annotations[istioAnnotations.sidecarStatus] !== undefined)
  );
}

function findingOf({ metadata, handler = "" }: RuntimeClass, inMesh: readonly Pod[]): ClusterFinding[] {
  const name = metadata?.name ?? "";
  const pods = inMesh.filter(({ spec }) => spec?.runtimeClassName === name);
  const [first] = pods;
  if (first === undefined) return [];
  const { namespace = "", name: pod = "" } = first.metadata;
  return [
    warning(
      subject,
      `RuntimeClass ${name}`,
      `${counted(pods.length, "pod")} of the mesh, such as ${namespace}/${pod}: the sandbox has a network stack of its own (handler ${handler}). The mesh's rules do not see the traffic, so no policy applies to it, and connections from the mesh may fail`,
      'take these pods out of the mesh with the labels istio.io/dataplane-mode=none and sidecar.istio.io/inject="false", or run them without the sandbox',
    ),
  ];
}
