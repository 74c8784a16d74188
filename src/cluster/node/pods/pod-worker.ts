import { rmSync } from "node:fs";
import { join } from "node:path";
import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { messageOf, rfc3339Seconds, type Clock, type Logger, jsonEqual } from "../../../base/index.ts";
import type { EventNote, EventRecorder, KubeClient } from "../../../kube/index.ts";
import type { ImageCatalogue } from "../../images/index.ts";
import { ManagedContainer } from "./managed-container.ts";
import { AttachedSandbox, type SandboxServices } from "./attached-sandbox.ts";
import { GracePeriod } from "./grace-period.ts";
import { etcFilesOf } from "./pod-etc.ts";
import type { CompiledCodeOfReleases, PodDirectories, PodHost } from "./pod-host.ts";
import { writePodRecord, type PodFailure, type PodRecord } from "./pod-record.ts";
import type { PodSandbox } from "./pod-sandbox.ts";
import type { PodView } from "./pod-status.ts";
import { PodStatusWriter } from "./pod-status-writer.ts";
import { removeBelow } from "../place-below.ts";
import { PodVolumeUpkeep } from "../volumes/pod-volume-upkeep.ts";
import { PodVolumes, type VolumeSources } from "../volumes/pod-volumes.ts";

/** What all pods of a node share. */
export interface NodeServices extends SandboxServices {
  readonly client: KubeClient;
  readonly hostIp: string;
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly images: ImageCatalogue;
  readonly compiledCode: CompiledCodeOfReleases | undefined;
  readonly uidCount: number;
  readonly programEnvironment: Readonly<Record<string, string>>;
  directoriesOf(pod: Pod): PodDirectories;
  sourcesOf(pod: Pod, podIp: string): VolumeSources;
}

const retryMs = 500;
const maxTimerMs = 2 ** 31 - 1;
/** The failure of a pod that exceeds its deadline, in a kubelet's words. */
const deadlineExceeded: PodFailure = {
  reason: "DeadlineExceeded",
  message: "Pod was active on the node longer than the specified deadline",
};

/**
 * Brings one pod into the state that its object specifies. Every change (of the object, a container, a probe, a timer)
 * makes the worker run its loop again. A worker has only one loop, so it never handles two changes of a pod at once.
 */
export class PodWorker {
  readonly uid: string;
  readonly containers: ManagedContainer[];
  readonly volumes: PodVolumes;
  readonly #services: NodeServices;
  readonly #log: Logger;
  readonly #host: PodHost;
  readonly #attachedSandbox: AttachedSandbox;
  readonly #directories: PodDirectories;
  readonly #status: PodStatusWriter;
  readonly #startTime: string;
  #pod: Pod;
  #removed = false;
  #finished = false;
  #dirty = false;
  #looping = false;
  /** The grace period of the containers. Undefined while they are not being stopped. */
  #grace: GracePeriod | undefined;
  /** Why the node has ended the pod. Undefined if it has not. */
  #failure: PodFailure | undefined;
  #timer: { readonly atMs: number; readonly handle: Disposable } | undefined;
  readonly #upkeep: PodVolumeUpkeep;
  readonly #gone = Promise.withResolvers<void>();

  constructor(pod: Pod, services: NodeServices, record?: PodRecord) {
    this.uid = pod.metadata.uid ?? "";
    this.#pod = pod;
    this.#services = services;
    this.#log = services.log;
    this.#directories = services.directoriesOf(pod);
    this.#startTime = record?.startTime ?? rfc3339Seconds(services.clock.nowMs());
    this.#failure = record?.failure;
    this.volumes = new PodVolumes({
      memoryDirectory: join(this.#directories.memory, "volumes"),
      diskDirectory: this.#directories.disk,
      hostRoot: this.#directories.hostRoot,
      clock: services.clock,
      onRenewal: () => this.volumesChanged(),
    });
    this.#upkeep = new PodVolumeUpkeep({
      volumes: this.volumes,
      clock: services.clock,
      event: (note) => this.#event(note),
    });
    this.#attachedSandbox = new AttachedSandbox(services, {
      pod: () => this.#pod,
      event: (note) => this.#event(note),
      save: () => this.#save(),
    });
    this.#host = this.#makeHost();
    this.containers = this.#makeContainers(record);
    this.#status = new PodStatusWriter(services, () => this.#view());
    if (record !== undefined) this.#adopt(record);
  }

  get pod(): Pod {
    return this.#pod;
  }

  get podIp(): string | undefined {
    return this.#pod.spec?.hostNetwork === true ? this.#services.hostIp : this.sandbox?.address?.ip;
  }

  get sandbox(): PodSandbox | undefined {
    return this.#attachedSandbox.sandbox;
  }

  /** Resolves when no part of the pod is left on this node. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  update(pod: Pod): void {
    const { labels, annotations } = this.#pod.metadata;
    if (
      PodVolumes.showsMetadata(pod) &&
      !(jsonEqual(labels, pod.metadata.labels) && jsonEqual(annotations, pod.metadata.annotations))
    )
      this.#upkeep.changed();
    this.#pod = pod;
    const known = new Set(this.containers.map((container) => container.spec.name));
    for (const spec of pod.spec?.ephemeralContainers ?? [])
      if (!known.has(spec.name)) this.containers.push(new ManagedContainer(spec, "ephemeral", this.#host));
    const graceMs = this.#graceMs();
    // Pass on a shorter grace period, which a client may request while the containers are being stopped.
    if (this.#grace?.shorten(graceMs) === true) for (const container of this.containers) container.shortenStop(graceMs);
    if (this.#isDeleted) for (const container of this.containers) container.abandonStart();
    this.kick();
  }

  /** Ends everything of the pod at once, because its object was deleted. */
  remove(): void {
    this.#removed = true;
    for (const container of this.containers) container.kill();
    this.kick();
  }

  /** Writes the volumes again, because one of their ConfigMaps or Secrets has changed. */
  volumesChanged(): void {
    this.#upkeep.changed();
    this.kick();
  }

  kick(): void {
    this.#dirty = true;
    // Write the status now if it shows a container as ready that no longer is, so that clients are no longer sent to
    // the container. Otherwise the write would wait for the present work: for all containers to end, or for the next
    // runs and their postStart hooks to begin.
    if (!this.#finished && (this.#grace !== undefined || this.#overstates())) this.#status.changed();
    void this.#loop();
  }

  /**
   * Whether the written status shows a container as ready that is not ready. Leaves out containers that will not run
   * again.
   */
  #overstates(): boolean {
    return this.containers.some(
      (container) =>
        this.#status.callsReady(container.spec.name) &&
        !container.view().ready &&
        (container.running || this.#restarts(container)),
    );
  }

  async #loop(): Promise<void> {
    if (this.#looping) return;
    this.#looping = true;
    while (this.#dirty && !this.#finished) {
      this.#dirty = false;
      this.#disarm();
      try {
        await this.#sync();
      } catch (error) {
        this.#retryAfter("a pod could not be brought to its desired state", error);
      }
      this.#trySave();
      if (!this.#finished) this.#status.changed();
    }
    this.#looping = false;
  }

  #trySave(): void {
    try {
      this.#save();
    } catch (error) {
      this.#retryAfter("the record of a pod could not be written", error);
    }
  }

  #retryAfter(operation: string, error: unknown): void {
    this.#log.warn(operation, { pod: this.#pod.metadata.name, error: messageOf(error) });
    this.#again(retryMs);
  }

  /**
   * Requests another run of the loop after a delay. If several are requested, only the earliest one happens, because it
   * requests the others again.
   */
  #again(ms: number): void {
    const { clock } = this.#services;
    const atMs = clock.steadyMs() + ms;
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return;
    this.#disarm();
    this.#timer = { atMs, handle: clock.after(Math.min(ms, maxTimerMs), () => this.kick()) };
  }

  #disarm(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
  }

  get #isDeleted(): boolean {
    return this.#removed || this.#pod.metadata.deletionTimestamp !== undefined;
  }

  async #sync(): Promise<void> {
    if (this.#isDeleted) return await this.#terminate();
    const { phase } = this.#pod.status ?? {};
    // The status may show the end of the pod only later. Until then, ended containers, and especially sidecars, must
    // not start again.
    if (phase === "Succeeded" || phase === "Failed" || this.#isOver()) return await this.#rest();
    if (this.#exceedsDeadline()) {
      this.#failure = deadlineExceeded;
      this.#event({ type: "Normal", ...deadlineExceeded });
      return await this.#rest();
    }
    if (!(await this.#ensureSandbox())) return;
    if (!(await this.#ensureVolumes())) return;
    // Start ephemeral containers before the init containers have ended, because they help to find out why an init
    // container does not end.
    await this.#runAll("ephemeral");
    if (await this.#runInits()) await this.#runAll("main");
    if (this.#isOver()) await this.#rest();
  }

  /**
   * Whether the pod has run for longer than `activeDeadlineSeconds`. If not, makes the worker check again at that time.
   */
  #exceedsDeadline(): boolean {
    const { activeDeadlineSeconds } = this.#pod.spec ?? {};
    if (activeDeadlineSeconds === undefined) return false;
    const leftMs = Date.parse(this.#startTime) + activeDeadlineSeconds * 1_000 - this.#services.clock.nowMs();
    if (leftMs <= 0) return true;
    this.#again(leftMs);
    return false;
  }

  async #ensureSandbox(): Promise<boolean> {
    const againMs = await this.#attachedSandbox.ensure();
    if (againMs !== undefined) this.#again(againMs);
    return againMs === undefined;
  }

  async #ensureVolumes(): Promise<boolean> {
    const { ready, againMs } = await this.#upkeep.look(() => this.#services.sourcesOf(this.#pod, this.podIp ?? ""));
    if (againMs !== undefined) this.#again(againMs);
    return ready;
  }

  /** Runs the init containers. Returns true when all init containers are done and all sidecars have started. */
  async #runInits(): Promise<boolean> {
    for (const container of this.containers) {
      if (container.role === "sidecar") {
        if (!container.running) await this.#startWhenDue(container);
        if (!container.started) return false;
      } else if (container.role === "init") {
        if (container.done) {
          if (container.exitCode !== 0) return false;
        } else if (container.running) return false;
        else if (container.ended && container.exitCode === 0) container.done = true;
        else if (container.ended && this.#pod.spec?.restartPolicy === "Never") {
          container.done = true;
          return false;
        } else {
          await this.#startWhenDue(container);
          return false;
        }
      }
    }
    return true;
  }

  /**
   * Starts the containers of the role that are due, in the order of the spec. As with a kubelet, the next container
   * starts only after the postStart hook of the one before. Istio's `holdApplicationUntilProxyStarts` depends on this.
   */
  async #runAll(role: "ephemeral" | "main"): Promise<void> {
    for (const container of this.containers) {
      if (container.role !== role || container.running || container.done) continue;
      if (container.ended && !this.#restarts(container)) container.done = true;
      else await this.#startWhenDue(container);
    }
  }

  #restarts(container: ManagedContainer): boolean {
    if (container.role === "ephemeral" || container.done) return false;
    if (container.role === "sidecar") return true;
    const policy = this.#pod.spec?.restartPolicy ?? "Always";
    return policy === "Always" || (policy === "OnFailure" && container.exitCode !== 0);
  }

  async #startWhenDue(container: ManagedContainer): Promise<void> {
    // Check again, because the pod may have been deleted while the previous container started.
    if (this.#isDeleted) return;
    const { delayMs } = container;
    if (delayMs > 0) {
      container.showBackoff();
      this.#again(delayMs);
      return;
    }
    await container.start();
    if (!container.running && !container.ended) this.#again(container.delayMs);
  }

  #isOver(): boolean {
    if (this.#failure !== undefined) return true;
    const inits = this.containers.filter((container) => container.role === "init");
    if (inits.some((container) => container.done && container.exitCode !== 0)) return true;
    const mains = this.containers.filter((container) => container.role === "main");
    return mains.length > 0 && mains.every((container) => container.done);
  }

  /** Finishes the pod: ends what still runs, removes the network, and keeps the status. */
  async #rest(): Promise<void> {
    await this.#stopContainers(this.#graceMs());
    this.#attachedSandbox.dismantle();
  }

  async #terminate(): Promise<void> {
    await this.#stopContainers(this.#removed ? 0 : this.#graceMs());
    await this.#attachedSandbox.detach();
    this.#attachedSandbox.dismantle();
    if (!this.#removed) {
      await this.#status.flush();
      await this.#deleteObject();
    }
    this.#finish();
  }

  /**
   * Stops all containers. Stops the sidecars after the other containers, in the reverse order of their start, because a
   * later sidecar may use an earlier one. As with a kubelet, this order no longer applies when the grace period is
   * over.
   */
  async #stopContainers(graceMs: number): Promise<void> {
    using grace = new GracePeriod(this.#services.clock, graceMs);
    this.#grace = grace;
    const running = this.containers.filter((container) => container.running);
    for (const container of running) {
      this.#event({
        type: "Normal",
        reason: "Killing",
        message: `Stopping container ${container.spec.name}`,
        fieldPath: container.fieldPath,
      });
    }
    const sidecars = running.filter((container) => container.role === "sidecar").toReversed();
    for (const container of sidecars.toReversed()) void container.prepareStop(graceMs);
    const others = running.filter((container) => container.role !== "sidecar");
    const stops = others.map(async (container) => await container.stop(graceMs));
    for (const container of sidecars) {
      await Promise.race([Promise.all(stops), grace.over]);
      stops.push(container.stop(grace.leftMs));
    }
    await Promise.all(stops);
    for (const container of this.containers) container.done = true;
    this.#grace = undefined;
  }

  async #deleteObject(): Promise<void> {
    const { name = "", namespace } = this.#pod.metadata;
    await this.#services.client.delete(podKind, name, namespace, {
      gracePeriodSeconds: 0,
      preconditions: { uid: this.uid },
    });
  }

  #finish(): void {
    this.#finished = true;
    this.#status.end();
    this.#disarm();
    const { memory, hostRoot, disk, logs } = this.#directories;
    rmSync(memory, { recursive: true, force: true });
    for (const path of [disk, logs]) removeBelow({ root: hostRoot, path });
    this.#gone.resolve();
  }

  #graceMs(): number {
    const { deletionGracePeriodSeconds } = this.#pod.metadata;
    return (deletionGracePeriodSeconds ?? this.#pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000;
  }

  #event(note: EventNote): void {
    this.#services.events.record(podKind, this.#pod, note);
  }

  #save(): void {
    if (this.#finished) return;
    const { name = "", namespace = "" } = this.#pod.metadata;
    writePodRecord(this.#directories.memory, {
      uid: this.uid,
      namespace,
      name,
      startTime: this.#startTime,
      init: this.sandbox?.init,
      address: this.sandbox?.address,
      attached: this.#attachedSandbox.attached,
      failure: this.#failure,
      containers: this.containers.map((container) => container.record),
    });
  }

  #adopt(record: PodRecord): void {
    this.#attachedSandbox.adopt(record);
    for (const container of this.containers) container.adopt();
  }

  #makeContainers(record: PodRecord | undefined): ManagedContainer[] {
    const { initContainers = [], containers = [], ephemeralContainers = [] } = this.#pod.spec ?? {};
    const known = new Map(record?.containers.map((container) => [container.name, container]));
    return [
      ...initContainers.map(
        (spec) =>
          new ManagedContainer(
            spec,
            spec.restartPolicy === "Always" ? "sidecar" : "init",
            this.#host,
            known.get(spec.name),
          ),
      ),
      ...containers.map((spec) => new ManagedContainer(spec, "main", this.#host, known.get(spec.name))),
      ...ephemeralContainers.map((spec) => new ManagedContainer(spec, "ephemeral", this.#host, known.get(spec.name))),
    ];
  }

  #makeHost(): PodHost {
    const services = this.#services;
    const { clock, log, images, compiledCode, programEnvironment, uidCount } = services;
    return {
      clock,
      log,
      images,
      compiledCode,
      programEnvironment,
      uidCount,
      directories: this.#directories,
      pod: () => this.#pod,
      sandbox: () => {
        if (this.sandbox === undefined) throw new Error("the pod has no sandbox");
        return this.sandbox;
      },
      podIp: () => this.podIp ?? "",
      sources: () => services.sourcesOf(this.#pod, this.podIp ?? ""),
      volumePlace: (volume) => this.volumes.placeOf(volume),
      etcFiles: () => etcFilesOf(this.#pod, this.podIp ?? "", services.nodeName),
      event: (note) => this.#event(note),
      save: () => this.#trySave(),
      changed: () => this.kick(),
    };
  }

  #view(): PodView {
    return {
      pod: this.#pod,
      containers: this.containers.map((container) => container.view()),
      // Show the address only after the plugins have added the sandbox to the network.
      podIp: (this.#attachedSandbox.attached ? this.podIp : undefined) ?? this.#pod.status?.podIP,
      hostIp: this.#services.hostIp,
      startTime: this.#startTime,
      // As with a kubelet, the sandbox counts only once the volumes are prepared. After a restart of this process, they
      // are not prepared yet, but a container that has run shows that they were.
      hasSandbox:
        this.sandbox !== undefined &&
        this.#attachedSandbox.attached &&
        (this.#upkeep.ready || this.containers.some(({ running, ended }) => running || ended)),
      initPid: this.sandbox?.init.pid,
      failure: this.#failure,
      now: rfc3339Seconds(this.#services.clock.nowMs()),
    };
  }
}
