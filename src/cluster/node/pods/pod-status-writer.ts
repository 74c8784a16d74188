import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { jsonEqual, messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../../kube/index.ts";
import { podStatus, type PodView } from "./pod-status.ts";

const retryMs = 200;
/**
 * The annotation with the pid of the pod's first process. With it, the mesh's CNI agent finds the network namespaces of
 * pods that are older than the agent.
 */
const initPidAnnotation = "lab.serin.dev/init-pid";

/**
 * Writes a pod's status to the API server, and the pid of its first process as an annotation. It sends one request at a
 * time. Changes during a request are sent with the next one.
 */
export class PodStatusWriter {
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #view: () => PodView;
  #written: Pod["status"];
  /** The status in the last request. The server may not have answered the request yet. */
  #sent: Pod["status"];
  #writtenInitPid: number | undefined;
  /** The pod in the answer to the last write. The watch delivers its event later. */
  #answered: Pod | undefined;
  #dirty = false;
  #writing: Promise<void> | undefined;
  #gone = false;

  constructor(
    services: { readonly client: KubeClient; readonly log: Logger; readonly clock: Clock },
    view: () => PodView,
  ) {
    this.#client = services.client;
    this.#log = services.log;
    this.#clock = services.clock;
    this.#view = view;
  }

  /** Call this when the pod's status may have changed. Writes the current status if it differs from the written one. */
  changed(): void {
    this.#dirty = true;
    this.#writing ??= this.#drain();
  }

  /** Whether the last status that was sent shows the container as ready. */
  callsReady(container: string): boolean {
    const { containerStatuses = [], initContainerStatuses = [] } = this.#sent ?? {};
    return [...containerStatuses, ...initContainerStatuses].some(({ name, ready }) => name === container && ready);
  }

  /** Resolves when the server has the latest status, or the pod no longer exists. */
  async flush(): Promise<void> {
    this.changed();
    while (this.#writing !== undefined) await this.#writing;
  }

  /**
   * Ends all writes, because nothing of the pod is left on this node. If another pod has the same name by now, the
   * server refuses this pod's writes anyway.
   */
  end(): void {
    this.#gone = true;
  }

  async #drain(): Promise<void> {
    while (this.#dirty && !this.#gone) {
      this.#dirty = false;
      try {
        await this.#write();
      } catch (error) {
        this.#log.debug("a pod's status could not be written", { error: messageOf(error) });
        this.#dirty = true;
        await this.#clock.sleep(retryMs);
      }
    }
    this.#writing = undefined;
  }

  async #write(): Promise<void> {
    const view = this.#newestView();
    const { name = "", namespace, uid } = view.pod.metadata;
    const status = podStatus(view);
    const { initPid = this.#writtenInitPid } = view;
    if (
      initPid === this.#writtenInitPid &&
      jsonEqual(status, this.#written) &&
      jsonEqual(view.pod.status?.conditions ?? [], status.conditions)
    )
      return;
    const annotations = initPid === undefined ? {} : { annotations: { [initPidAnnotation]: String(initPid) } };
    // A merge patch keeps omitted fields, so it must name removed fields explicitly.
    const patch =
      view.podIp === undefined && view.pod.status?.podIP !== undefined
        ? { ...status, podIP: null, podIPs: null }
        : status;
    this.#sent = status;
    try {
      this.#answered = await this.#client.patchMerge(
        podKind,
        name,
        namespace,
        { metadata: { uid, ...annotations }, status: patch },
        // A node may write a pod only through its status.
        { subresource: "status" },
      );
      this.#written = status;
      this.#writtenInitPid = initPid;
    } catch (error) {
      if (isKubeCode(error, "not-found")) this.#gone = true;
      else throw error;
    }
  }

  /**
   * The view with the status of our own last write until its event arrives. With an older status, conditions would seem
   * to change again, and this class would write every step of a pod's start twice.
   */
  #newestView(): PodView {
    const view = this.#view();
    const answered = this.#answered;
    if (answered?.status === undefined || versionOf(answered) <= versionOf(view.pod)) return view;
    return { ...view, pod: { ...view.pod, status: answered.status } };
  }
}

function versionOf({ metadata: { resourceVersion } }: Pod): number {
  return Number(resourceVersion ?? 0);
}
