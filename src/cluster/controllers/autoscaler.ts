import { deploymentKind, horizontalPodAutoscalerKind, statefulSetKind } from "../../api/kubernetes/index.ts";
import { isKubeCode } from "../../kube/index.ts";
import { enqueueOn, sameJson, type ControllerContext } from "./controller.ts";

/** The lab has no metrics API: an autoscaler keeps what is there, and its status says why. */
export function addAutoscalerController(context: ControllerContext): void {
  const autoscalers = context.view(horizontalPodAutoscalerKind);
  const queue = context.queue("autoscaler", async (key) => {
    const autoscaler = autoscalers.at(key);
    if (autoscaler?.spec === undefined) return;
    const { name = "", namespace } = autoscaler.metadata;
    const { kind, name: targetName } = autoscaler.spec.scaleTargetRef;
    const target = kind === "StatefulSet" ? context.view(statefulSetKind).get(namespace, targetName) : context.view(deploymentKind).get(namespace, targetName);
    const replicas = target?.status?.replicas ?? 0;
    const condition = (type: string, status: string, reason: string, message: string): Record<string, string> & { type: string; status: string } => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime: autoscaler.status?.conditions?.find((before) => before.type === type && before.status === status)?.lastTransitionTime ?? context.now(),
    });
    const status = {
      observedGeneration: autoscaler.metadata.generation ?? 0,
      currentReplicas: replicas,
      desiredReplicas: replicas,
      conditions: [
        target === undefined
          ? condition("AbleToScale", "False", "FailedGetScale", `the scale target ${kind} ${targetName} was not found`)
          : condition("AbleToScale", "True", "SucceededGetScale", "the scale target was found"),
        condition("ScalingActive", "False", "FailedGetResourceMetric", "this cluster serves no metrics API (metrics.k8s.io), so replicas stay as they are"),
      ],
    };
    if (sameJson(autoscaler.status, { ...autoscaler.status, ...status })) return;
    try {
      await context.client.patchMerge(horizontalPodAutoscalerKind, name, namespace, { status }, { subresource: "status" });
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  });
  enqueueOn(autoscalers, queue);
}
