import { jobKind, podKind, type Job, type Pod } from "../../../api/kubernetes/index.ts";
import { enqueueControllerOn, enqueueOn, writeStatus, type ControllerContext } from "../controller.ts";
import { failureAnnotations } from "./index-failures.ts";
import { completionIndexAnnotation } from "./job-indexes.ts";
import { finishedCondition, planJob } from "./job-plan.ts";
import { PodControl } from "../pods/pod-control.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { podFrom, randomSuffix } from "../pods/pod-template.ts";

/** Runs Jobs to their end, and removes ended ones after `ttlSecondsAfterFinished`. */
export function addJobController(context: ControllerContext): void {
  const jobs = context.view(jobKind);
  const control = new PodControl({ context, ownerKind: jobKind, component: "job-controller" });
  const record = context.events("job-controller");

  const queue = context.queue("job", async (key) => {
    const job = jobs.at(key);
    if (job?.spec === undefined || isTerminating(job)) return undefined;
    const pods = await control.claim(
      job,
      job.spec.selector ?? { matchLabels: { "batch.kubernetes.io/controller-uid": job.metadata.uid ?? "" } },
    );
    const plan = planJob(job, pods, context.now(), context.clock.nowMs());
    let failure: unknown;
    try {
      await control.createAll(
        job,
        plan.create.map((index) => newPod(job, index, plan.predecessors.get(index ?? -1))),
      );
      await control.deleteAll(job, plan.remove);
    } catch (error) {
      failure = error;
    }
    await noteProgress(job, plan.status);
    if (failure !== undefined) throw failure;
    return plan.lookAgainMs ?? (await expire(jobs.at(key) ?? job));
  });

  const newPod = (job: Job, index: number | undefined, predecessor: Pod | undefined): Pod => {
    const { name = "", namespace = "", uid = "" } = job.metadata;
    const prefix = index === undefined ? `${name.slice(0, 57)}-` : `${name.slice(0, 50)}-${index}-`;
    const labels = {
      "batch.kubernetes.io/controller-uid": uid,
      "batch.kubernetes.io/job-name": name,
      "controller-uid": uid,
      "job-name": name,
      ...(index === undefined ? {} : { [completionIndexAnnotation]: String(index) }),
    };
    const pod = podFrom({
      template: job.spec?.template ?? {},
      namespace,
      name: prefix + randomSuffix(context.random),
      generateName: prefix,
      ownerKind: jobKind,
      owner: job,
      labels,
    });
    if (index === undefined) return pod;
    return {
      ...pod,
      metadata: {
        ...pod.metadata,
        annotations: {
          ...pod.metadata.annotations,
          [completionIndexAnnotation]: String(index),
          ...(job.spec?.backoffLimitPerIndex === undefined ? {} : failureAnnotations(job, predecessor)),
        },
      },
      spec: {
        ...pod.spec,
        hostname: `${name}-${index}`,
        containers: withIndex(pod.spec?.containers ?? [], index),
        ...(pod.spec?.initContainers === undefined
          ? {}
          : { initContainers: withIndex(pod.spec.initContainers, index) }),
      },
    };
  };

  const noteProgress = async (job: Job, status: NonNullable<Job["status"]>): Promise<void> => {
    const written = await writeStatus(context, jobKind, job, status);
    if (written === undefined) return;
    const end = finishedCondition(written);
    if (end === undefined || finishedCondition(job) !== undefined) return;
    const completed = end.type === "Complete";
    record(jobKind, job, {
      type: completed ? "Normal" : "Warning",
      reason: completed ? "Completed" : (end.reason ?? "Failed"),
      message: completed ? "Job completed" : (end.message ?? "Job failed"),
    });
  };

  const expire = async (job: Job): Promise<number | undefined> => {
    const ttlSeconds = job.spec?.ttlSecondsAfterFinished;
    const end = finishedCondition(job);
    if (ttlSeconds === undefined || end?.lastTransitionTime === undefined) return undefined;
    const leftMs = Date.parse(end.lastTransitionTime) + ttlSeconds * 1000 - context.clock.nowMs();
    if (leftMs > 0) return leftMs;
    await context.client.delete(jobKind, job.metadata.name ?? "", job.metadata.namespace, {
      propagationPolicy: "Foreground",
      preconditions: { uid: job.metadata.uid ?? "" },
    });
    return undefined;
  };

  enqueueOn(jobs, queue);
  enqueueControllerOn(context.view(podKind), jobKind, queue);
}

type Containers = NonNullable<Pod["spec"]>["containers"];

/** A container that sets the variable itself keeps its own value. */
function withIndex(containers: Containers, index: number): Containers {
  const variable = { name: "JOB_COMPLETION_INDEX", value: String(index) };
  return containers.map((container) =>
    container.env?.some(({ name }) => name === variable.name) === true
      ? container
      : { ...container, env: [...(container.env ?? []), variable] },
  );
}
