import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { jsonEqual, messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../../kube/index.ts";
import { podStatus, type PodView } from "./pod-status.ts";

const retryMs = 200;
/** With this annotation, the mesh's node agent finds the network namespaces of pods that are older than the agent. */
const initPidAnnotation = "lab.serin.dev/init-pid";

/**
 * Writes a pod's status to the API server, with its first process as an annotation, one request at a time. Changes
 * that arrive meanwhile are sent with the next request.
 */
export class PodStatusWriter {
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #view: () => PodView;
  #written: Pod["status"];
  /** The status in the last request, which may not have been answered yet. */
  #sent: Pod["status"];
  #writtenInitPid: number | undefined;
  /** The pod in the answer to the last write. Its event arrives here later. */
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

  /** Writes the current status, because it may have changed. */
  changed(): void {
    this.#dirty = true;
    this.#writing ??= this.#drain();
  }

  /** Whether the status that was sent last calls the container ready. */
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
   * Writes nothing more, because nothing of the pod is left here. If another pod has taken its name, the server refuses
   * every write of this one.
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
    // A merge patch keeps omitted fields, so removed fields must be named.
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
        // Nodes may write only the status of a pod.
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
   * The view with the status of our own last write until its event arrives. With the older status, conditions would
   * seem to change again, and every step of a pod's start would be written twice.
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
