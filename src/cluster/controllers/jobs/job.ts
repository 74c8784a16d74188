import { jobKind, podKind, type Job, type Pod } from "../../../api/kubernetes/index.ts";
import { enqueueControllerOn, enqueueOn, writeStatus, type ControllerContext } from "../controller.ts";
import { failureAnnotations } from "./index-failures.ts";
import { completionIndexAnnotation } from "./job-indexes.ts";
import { finishedCondition, planJob } from "./job-plan.ts";
import type { ObjectView } from "../object-view.ts";
import { PodControl } from "../pods/pod-control.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { podFrom, randomSuffix } from "../pods/pod-template.ts";

const ownName = "kubernetes.io/job-controller";

/** Runs Jobs to their end, and removes ended ones after `ttlSecondsAfterFinished`. */
export function addJobController(context: ControllerContext): void {
  const controller = new JobController(context);
  const queue = context.queue("job", (key) => controller.reconcile(key));
  enqueueOn(context.view(jobKind), queue);
  enqueueControllerOn(context.view(podKind), jobKind, queue);
}

class JobController {
  readonly #context: ControllerContext;
  readonly #jobs: ObjectView<Job>;
  readonly #control: PodControl;
  readonly #record: ReturnType<ControllerContext["events"]>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#jobs = context.view(jobKind);
    this.#control = new PodControl({ context, ownerKind: jobKind, component: "job-controller" });
    this.#record = context.events("job-controller");
  }

  /** Returns after how many milliseconds to reconcile again. */
  async reconcile(key: string): Promise<number | undefined> {
    const job = this.#jobs.at(key);
    if (job?.spec === undefined || isTerminating(job)) return undefined;
    // If another controller manages the Job, this one only deletes the Job when its time to live is over.
    if ((job.spec.managedBy ?? ownName) !== ownName) return await this.#expire(job);
    const pods = await this.#control.claim(
      job,
      job.spec.selector ?? { matchLabels: { "batch.kubernetes.io/controller-uid": job.metadata.uid ?? "" } },
    );
    const plan = planJob(job, pods, this.#context.now(), this.#context.clock.nowMs());
    let failure: unknown;
    try {
      await this.#control.createAll(
        job,
        plan.create.map((index) => this.#newPod(job, index, plan.predecessors.get(index ?? -1))),
      );
      await this.#control.deleteAll(job, plan.remove);
    } catch (error) {
      failure = error;
    }
    await this.#noteProgress(job, plan.status);
    if (failure !== undefined) throw failure;
    return plan.lookAgainMs ?? (await this.#expire(this.#jobs.at(key) ?? job));
  }

  #newPod(job: Job, index: number | undefined, predecessor: Pod | undefined): Pod {
    const { name = "", namespace = "", uid = "" } = job.metadata;
    const prefix = index === undefined ? `${name.slice(0, 57)}-` : `${name.slice(0, 50)}-${index}-`;
    const pod = podFrom({
      template: job.spec?.template ?? {},
      namespace,
      name: prefix + randomSuffix(this.#context.random),
      generateName: prefix,
      ownerKind: jobKind,
      owner: job,
      labels: {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
        ...(index === undefined ? {} : { [completionIndexAnnotation]: String(index) }),
      },
    });
    return index === undefined ? pod : indexedPod(job, pod, index, predecessor);
  }

  async #noteProgress(job: Job, status: NonNullable<Job["status"]>): Promise<void> {
    const written = await writeStatus(this.#context, jobKind, job, status);
    if (written === undefined) return;
    const end = finishedCondition(written);
    if (end === undefined || finishedCondition(job) !== undefined) return;
    const completed = end.type === "Complete";
    this.#record(jobKind, job, {
      type: completed ? "Normal" : "Warning",
      reason: completed ? "Completed" : (end.reason ?? "Failed"),
      message: completed ? "Job completed" : (end.message ?? "Job failed"),
    });
  }

  /** Deletes an ended Job if its time to live is over. Otherwise returns the rest of that time, in milliseconds. */
  async #expire(job: Job): Promise<number | undefined> {
    const { client, clock } = this.#context;
    const ttlSeconds = job.spec?.ttlSecondsAfterFinished;
    const end = finishedCondition(job);
    if (ttlSeconds === undefined || end?.lastTransitionTime === undefined) return undefined;
    const leftMs = Date.parse(end.lastTransitionTime) + ttlSeconds * 1000 - clock.nowMs();
    if (leftMs > 0) return leftMs;
    await client.delete(jobKind, job.metadata.name ?? "", job.metadata.namespace, {
      propagationPolicy: "Foreground",
      preconditions: { uid: job.metadata.uid ?? "" },
    });
    return undefined;
  }
}

/**
 * A pod of an indexed Job. The pod finds its index in an annotation, in its hostname and in an environment variable.
 */
function indexedPod(job: Job, pod: Pod, index: number, predecessor: Pod | undefined): Pod {
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
      hostname: `${job.metadata.name ?? ""}-${index}`,
      containers: withIndex(pod.spec?.containers ?? [], index),
      ...(pod.spec?.initContainers === undefined ? {} : { initContainers: withIndex(pod.spec.initContainers, index) }),
    },
  };
}

type Containers = NonNullable<Pod["spec"]>["containers"];

/** The containers with the variable for the index. A container that sets the variable itself keeps its own value. */
function withIndex(containers: Containers, index: number): Containers {
  const variable = { name: "JOB_COMPLETION_INDEX", value: String(index) };
  return containers.map((container) =>
    container.env?.some(({ name }) => name === variable.name) === true
      ? container
      : { ...container, env: [...(container.env ?? []), variable] },
  );
}
