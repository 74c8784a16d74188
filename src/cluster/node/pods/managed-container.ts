import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Container, ContainerState, LifecycleHandler, Probe } from "../../../api/kubernetes/index.ts";
import { aborted, messageOf, rfc3339Seconds, userError } from "../../../base/index.ts";
import type { ResolvedImage } from "../../images/index.ts";
import { containerEnvironment, expandVariables } from "../containers/container-environment.ts";
import { runHook } from "../probes/container-hook.ts";
import { ContainerFiles } from "./container-files.ts";
import { baseEnvironment } from "./container-mounts.ts";
import { declaredPorts, untilListening } from "../probes/container-ports.ts";
import { ContainerLog } from "../containers/container-log.ts";
import { ContainerProbes } from "../probes/container-probes.ts";
import {
  adoptContainer,
  type ContainerNamespaces,
  type ContainerProcess,
  type ExitStatus,
  spawnContainer,
  untilProgramBegan,
  type SpawnedContainer,
} from "../containers/container-process.ts";
import { resolveContainerImage, type ReportEvent } from "./container-image.ts";
import { type ContainerRecord, newRecord } from "./container-record.ts";
import { crashLoopBackoff, endedState, explainsDelay, imagePullBackoff, startFailure } from "./container-states.ts";
import { containerRights, refusalOfRoot } from "../containers/container-rights.ts";
import type { ContainerRights } from "../containers/starter.ts";
import type { ExecContext } from "../containers/exec-context.ts";
import { execInContainer, openTerminal, terminalStream, type Terminal } from "../containers/exec-session.ts";
import { closeDescriptor } from "../libc.ts";
import { openNamespace } from "../namespaces.ts";
import { removeBelow, type PlaceBelow } from "../place-below.ts";
import type { PodHost } from "./pod-host.ts";
import type { ContainerRole, ContainerView } from "./pod-status.ts";
import type { ProbeTarget } from "../probes/probe-attempt.ts";
import { RestartBackoff } from "./restart-backoff.ts";

/** The terminal of a container with its output and input streams. */
export interface ContainerConsole {
  readonly terminal: Terminal;
  readonly screen: Duplex;
}

interface RunOptions {
  readonly argv: readonly string[];
  readonly hostPid: boolean;
  readonly rights: ContainerRights;
  readonly mount: number;
  readonly terminal: Terminal | undefined;
}

/** How long the log waits for the last lines of a program that has ended. */
const drainMs = 500;
/**
 * As with a kubelet, every container has at least this time to end after SIGTERM, even if its preStop hook or other
 * containers have used up the grace period.
 */
const minimumGraceMs = 2_000;

/** One container of a pod with all its runs. */
export class ManagedContainer {
  readonly spec: Container;
  readonly role: ContainerRole;
  readonly record: ContainerRecord;
  /** The container's place in its pod, for events: `spec.containers{app}`. */
  readonly fieldPath: string;
  readonly #host: PodHost;
  readonly #files: ContainerFiles;
  readonly #backoff: RestartBackoff;
  #process: ContainerProcess | undefined;
  #log: ContainerLog | undefined;
  #mount: number | undefined;
  #console: ContainerConsole | undefined;
  #input: Socket | undefined;
  #probes: ContainerProbes | undefined;
  #rights: ContainerRights | undefined;
  #environment: Record<string, string> = {};
  #workingDirectory = "/";
  #exit: Promise<void> = Promise.resolve();
  readonly #event: ReportEvent;
  /**
   * Whether the postStart hook of this run has not succeeded yet. Until then, the container is not probed, and counts
   * neither as started nor as ready.
   */
  #starting = false;
  readonly #abandoned = new AbortController();
  /** The end of the preStop hook, once it has begun. */
  #preStop: Promise<void> | undefined;
  #stopping = false;
  /** The end of the grace period of the run that is being stopped. After it, the timer kills. */
  #grace: { readonly endsAtMs: number; readonly timer: Disposable } | undefined;
  #graceOver = Promise.withResolvers<void>();
  #signalledAtMs: number | undefined;
  /** Set by the pod if no further run will follow. */
  done = false;

  constructor(spec: Container, role: ContainerRole, host: PodHost, record?: ContainerRecord) {
    this.spec = spec;
    this.role = role;
    this.#host = host;
    this.#files = new ContainerFiles(spec, host);
    this.#backoff = new RestartBackoff(host.clock);
    const field = role === "main" ? "containers" : role === "ephemeral" ? "ephemeralContainers" : "initContainers";
    this.fieldPath = `spec.${field}{${spec.name}}`;
    this.#event = (type, reason, message) => host.event({ type, reason, message, fieldPath: this.fieldPath });
    this.record =
      record ??
      newRecord(
        spec.name,
        (host.pod().spec?.initContainers ?? []).length > 0 ? "PodInitializing" : "ContainerCreating",
      );
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get exitCode(): number | undefined {
    return (
      this.record.state.terminated?.exitCode ??
      (this.record.state.waiting === undefined ? undefined : this.record.lastState?.terminated?.exitCode)
    );
  }

  /** Resolves when the current run has ended. */
  get exited(): Promise<void> {
    return this.#exit;
  }

  /** Whether a run has ended and no new one has begun. */
  get ended(): boolean {
    return !this.running && (this.record.state.terminated !== undefined || this.record.lastState !== undefined);
  }

  get started(): boolean {
    return this.running && !this.#starting && (this.#probes?.started ?? true);
  }

  view(): ContainerView {
    const { state, lastState, restartCount, containerId, imageId } = this.record;
    return {
      spec: this.spec,
      role: this.role,
      state,
      lastState,
      restartCount,
      containerId,
      imageId,
      started: this.started,
      ready: this.running && !this.#starting && (this.#probes?.ready ?? true),
      done: this.done,
    };
  }

  /** The time until the next run may begin. 0 means that it may begin now. */
  get delayMs(): number {
    return this.#backoff.delayMs;
  }

  /** Shows in the state that the next run is delayed: ImagePullBackOff or CrashLoopBackOff. */
  showBackoff(): void {
    const { record, spec } = this;
    if (explainsDelay(record.state)) return;
    if (record.state.waiting?.reason === "ErrImagePull") {
      record.state = imagePullBackoff(spec.image ?? "", record.state.waiting.message ?? "");
      return;
    }
    if (record.state.terminated !== undefined) record.lastState = record.state;
    const { name = "", namespace = "" } = this.#host.pod().metadata;
    record.state = crashLoopBackoff(spec.name, `${name}_${namespace}`, this.#backoff.stepMs);
    this.#event("Warning", "BackOff", `Back-off restarting failed container ${spec.name} in pod ${name}_${namespace}`);
  }

  /** Begins a run. Never throws. The state shows a failure, and {@link delayMs} says when to try again. */
  async start(): Promise<void> {
    const { record } = this;
    const previous = record.state.terminated === undefined ? undefined : record.state;
    const resolved = await resolveContainerImage(this.spec, this.#host, this.#event);
    if ("failed" in resolved) return this.#couldNotStart(resolved.failed);
    if (previous !== undefined) record.lastState = previous;
    const { restartCount } = record;
    if (record.lastState !== undefined) record.restartCount += 1;
    try {
      this.#run(resolved.image);
    } catch (error) {
      // Only runs count, and the log of the last run has its number.
      record.restartCount = restartCount;
      this.#closeMount();
      this.#event("Warning", "Failed", `Error: ${messageOf(error)}`);
      return this.#couldNotStart(startFailure(error));
    }
    const { postStart } = this.spec.lifecycle ?? {};
    this.#starting = postStart !== undefined;
    if (postStart === undefined) this.#startProbes();
    else {
      // The hook may take long, and a node process that restarts meanwhile must find the container.
      this.#host.save();
      await this.#postStart(postStart);
    }
    this.#host.changed();
  }

  /** Waits no longer for a postStart hook, because the pod ends. */
  abandonStart(): void {
    this.#abandoned.abort();
  }

  #couldNotStart(state: ContainerState): void {
    this.record.state = state;
    this.#backoff.failed();
    this.#host.changed();
  }

  #run(image: ResolvedImage): void {
    const { record, spec } = this;
    const host = this.#host;
    const pod = host.pod();
    this.#environment = this.#environmentOf(image);
    this.#workingDirectory = spec.workingDir ?? image.workingDirectory;
    const argv = image.argv.map((word) => expandVariables(word, this.#environment));
    const [program] = argv;
    if (program === undefined) throw new Error("no command specified");
    const refusal = refusalOfRoot(spec, pod, image.runsAs);
    if (refusal !== undefined) throw userError("not-allowed", refusal);
    const rights = containerRights(spec, pod, { uidCount: host.uidCount, runsAs: image.runsAs });
    this.#rights = rights;
    const hostPid = pod.spec?.hostPID === true;
    this.#closeMount();
    const mount = this.#files.buildRoot(image, {
      rights,
      environment: this.#environment,
      workingDirectory: this.#workingDirectory,
      hostPid,
    });
    this.#mount = mount;
    this.#event("Normal", "Created", `Created container: ${spec.name}`);
    const terminal = spec.tty === true ? openTerminal(mount) : undefined;
    const spawned = this.#spawn({ argv, hostPid, rights, mount, terminal });
    this.#console = terminal === undefined ? undefined : { terminal, screen: terminalStream(terminal) };
    this.#log = new ContainerLog(this.#files.logOf(record.restartCount), host.clock);
    removeBelow(this.#files.logOf(record.restartCount - 2));
    this.#recordRun(image, spawned);
    this.#event("Normal", "Started", `Started container ${spec.name}`);
    this.#input =
      spawned.input === undefined ? undefined : new Socket({ fd: spawned.input, readable: false, writable: true });
    this.#input?.on("error", () => undefined);
    this.#follow(spawned.process, this.#console?.screen ?? spawned.output);
    if (this.#console !== undefined) closeDescriptor(spawned.output);
  }

  #recordRun(image: ResolvedImage, spawned: SpawnedContainer): void {
    const { record } = this;
    record.containerId = `serin://${randomBytes(32).toString("hex")}`;
    record.imageId = image.id;
    record.runsAs = image.runsAs;
    record.identity = spawned.process.identity;
    record.stopSignalled = false;
    record.probed = undefined;
    record.state = { running: { startedAt: this.#now() } };
  }

  #spawn({ argv, hostPid, rights, mount, terminal }: RunOptions): SpawnedContainer {
    const environment = terminal === undefined ? this.#environment : { TERM: "xterm", ...this.#environment };
    try {
      return spawnContainer({
        namespaces: this.#namespaces(mount),
        hostPid,
        directory: this.#files.directory,
        stdin: this.spec.stdin === true,
        terminal: terminal?.slave,
        command: { argv, environment, workingDirectory: this.#workingDirectory, rights },
      });
    } catch (error) {
      if (terminal !== undefined) closeDescriptor(terminal.master);
      throw error;
    } finally {
      if (terminal !== undefined) closeDescriptor(terminal.slave);
    }
  }

  #closeMount(): void {
    if (this.#mount !== undefined) closeDescriptor(this.#mount);
    this.#mount = undefined;
  }

  /** Continues with a container that an earlier node process started. */
  adopt(): void {
    const { identity } = this.record;
    if (identity === undefined || this.record.state.running === undefined) return;
    const adopted = adoptContainer(identity, this.#files.directory, this.#host.clock);
    const { runsAs = { user: 0, group: 0 } } = this.record;
    this.#rights = containerRights(this.spec, this.#host.pod(), { uidCount: this.#host.uidCount, runsAs });
    this.#log = new ContainerLog(this.#files.logOf(this.record.restartCount), this.#host.clock);
    if (adopted.output !== undefined) {
      this.#mount = openNamespace(identity.pid, "mnt");
      void this.#recallSurroundings();
    }
    this.#follow(adopted.process, adopted.output);
    this.#startProbes();
  }

  /** Restores the context that exec needs, for a container from an earlier node process. */
  async #recallSurroundings(): Promise<void> {
    const { image: name = "", command, args, workingDir } = this.spec;
    try {
      const image = await this.#host.images.resolve({ image: name, command, args });
      this.#environment = this.#environmentOf(image);
      this.#workingDirectory = workingDir ?? image.workingDirectory;
    } catch (error) {
      this.#host.log.debug("the environment of a running container cannot be computed again", {
        container: this.spec.name,
        error: messageOf(error),
      });
    }
  }

  #follow(process: ContainerProcess, output: number | Duplex | undefined): void {
    this.#process = process;
    this.#stopping = false;
    this.#graceOver = Promise.withResolvers();
    this.#signalledAtMs = undefined;
    this.#preStop = undefined;
    this.#starting = false;
    const drained = output === undefined ? Promise.resolve(this.#log?.end()) : this.#log?.consume(output);
    this.#exit = (async () => {
      const status = await process.exited;
      // The last lines must be in the log before the end is reported. Do not wait for a process that has left the
      // container and still has the pipe.
      await Promise.race([drained, this.#host.clock.sleep(drainMs)]);
      this.#log?.end();
      this.#ended(status);
    })();
  }

  #ended(status: ExitStatus): void {
    const { record } = this;
    this.#grace?.timer[Symbol.dispose]();
    this.#grace = undefined;
    this.#probes?.stop();
    this.#probes = undefined;
    this.#input?.destroy();
    this.#input = undefined;
    this.#closeMount();
    record.identity = undefined;
    record.state = endedState({
      ...status,
      message: status.lost ? "" : this.#files.terminationMessage(status.exitCode, record.restartCount),
      startedAt: record.state.running?.startedAt ?? this.#now(),
      finishedAt: this.#now(),
      containerId: record.containerId,
    });
    this.#backoff.ended(Date.parse(record.state.terminated?.startedAt ?? ""));
    this.#host.changed();
  }

  #startProbes(): void {
    const { spec } = this;
    const ports = spec.readinessProbe === undefined && this.role === "main" ? declaredPorts(spec) : [];
    if (
      spec.startupProbe === undefined &&
      spec.livenessProbe === undefined &&
      spec.readinessProbe === undefined &&
      ports.length === 0
    )
      return;
    const { identity } = this.record;
    const probes = new ContainerProbes({
      target: this.#probeTarget(),
      clock: this.#host.clock,
      onUnhealthy: (kind, message) => {
        const word = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" }[kind];
        this.#event("Warning", "Unhealthy", `${word} probe failed: ${message}`);
      },
      known: this.record.probed,
      settled:
        ports.length === 0 || identity === undefined
          ? undefined
          : async (signal) => await untilListening(identity.pid, ports, this.#host.clock, signal),
      onChange: () => {
        this.record.probed = { started: probes.started, ready: probes.ready };
        this.#host.changed();
      },
      onFailed: (kind, probe) => void this.#endUnhealthy(kind, probe),
    });
    this.#probes = probes;
    void probes.run();
  }

  async #endUnhealthy(kind: string, probe: Probe): Promise<void> {
    this.#event("Normal", "Killing", `Container ${this.spec.name} failed ${kind} probe, will be restarted`);
    const grace = probe.terminationGracePeriodSeconds ?? this.#host.pod().spec?.terminationGracePeriodSeconds ?? 30;
    await this.stop(grace * 1_000);
  }

  /**
   * Runs preStop for at most the grace period, sends SIGTERM, and sends SIGKILL when the grace period and the minimum
   * are over. Resolves when the container has ended. If the container is being stopped already, the grace period that
   * ends first counts. As with containerd, a run gets SIGTERM only once, because many programs end immediately at a
   * second one.
   */
  async stop(graceMs: number): Promise<void> {
    const running = this.#process;
    if (running === undefined || !running.running) return await this.#exit;
    this.#endGraceAfter(graceMs, running);
    if (this.#stopping) return await this.#exit;
    this.#stopping = true;
    this.#probes?.watchReadinessAlone();
    await Promise.race([this.prepareStop(graceMs), this.#graceOver.promise, running.exited]);
    await untilProgramBegan(running, this.#host.clock);
    this.#signalledAtMs = this.#host.clock.steadyMs();
    if (running.running && !this.record.stopSignalled) {
      this.record.stopSignalled = true;
      // A later node process that adopts the container must know of the signal.
      this.#host.save();
      running.signal("SIGTERM");
    }
    await this.#exit;
  }

  /** Shortens the grace period of a stop that has begun. */
  shortenStop(graceMs: number): void {
    if (this.#stopping && this.#process?.running === true) this.#endGraceAfter(graceMs, this.#process);
  }

  #endGraceAfter(graceMs: number, process: ContainerProcess): void {
    const { clock } = this.#host;
    const endsAtMs = clock.steadyMs() + graceMs;
    if (this.#grace !== undefined && this.#grace.endsAtMs <= endsAtMs) return;
    this.#grace?.timer[Symbol.dispose]();
    const timer = clock.after(graceMs, () => {
      this.#graceOver.resolve();
      this.#killWhenDue(endsAtMs, process);
    });
    this.#grace = { endsAtMs, timer };
  }

  /** The minimum begins with SIGTERM, or with the end of the grace period while no program is there to get it. */
  #killWhenDue(endsAtMs: number, process: ContainerProcess): void {
    const { clock } = this.#host;
    const leftMs = (this.#signalledAtMs ?? endsAtMs) + minimumGraceMs - clock.steadyMs();
    if (leftMs <= 0) return process.kill();
    this.#grace = { endsAtMs, timer: clock.after(leftMs, () => this.#killWhenDue(endsAtMs, process)) };
  }

  /**
   * Runs the preStop hook once. A sidecar's hook begins with the pod's termination, long before the sidecar itself is
   * stopped.
   */
  async prepareStop(graceMs: number): Promise<void> {
    const { preStop } = this.spec.lifecycle ?? {};
    if (preStop === undefined || graceMs === 0 || !this.running || this.record.stopSignalled) return;
    this.#preStop ??= this.#hook("PreStop", preStop, graceMs + minimumGraceMs, this.#endOfRun()).then(() => undefined);
    await this.#preStop;
  }

  /** Kills the container at once. */
  kill(): void {
    this.#process?.kill();
  }

  /**
   * Runs the hook until it ends, the container ends, or the pod is deleted. As with a kubelet, there is no other limit.
   * If the hook fails, the container is stopped, and is restarted like one that has ended.
   */
  async #postStart(handler: LifecycleHandler): Promise<void> {
    const over = AbortSignal.any([this.#abandoned.signal, this.#endOfRun()]);
    const succeeded = await Promise.race([this.#hook("PostStart", handler, Infinity, over), aborted(over)]);
    if (over.aborted) return;
    if (succeeded === true) {
      this.#starting = false;
      this.#startProbes();
    } else {
      this.#event("Normal", "Killing", "FailedPostStartHook");
      void this.stop((this.#host.pod().spec?.terminationGracePeriodSeconds ?? 30) * 1_000);
    }
  }

  /** A signal that aborts when the current run ends. */
  #endOfRun(): AbortSignal {
    const ended = new AbortController();
    void this.#process?.exited.then(() => ended.abort());
    return ended.signal;
  }

  /** Runs a hook. Returns whether it has succeeded. */
  async #hook(
    name: "PostStart" | "PreStop",
    handler: LifecycleHandler,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await runHook(handler, this.#probeTarget(), { clock: this.#host.clock, limitMs, signal });
      return true;
    } catch (error) {
      if (!signal.aborted) this.#event("Warning", `Failed${name}Hook`, `${name}Hook failed: ${messageOf(error)}`);
      return false;
    }
  }

  #probeTarget(): ProbeTarget {
    return {
      podIp: this.#host.podIp(),
      container: this.spec,
      exec: async (command, timeoutMs) => await this.execForOutput(command, timeoutMs),
    };
  }

  /** Runs a command in the container, and returns its output. */
  async execForOutput(command: readonly string[], timeoutMs: number): Promise<{ exitCode: number; output: string }> {
    return await execInContainer(await this.execContext(), command, timeoutMs);
  }

  /** The context for a command beside the program. Waits until the program has begun. Throws if it does not run. */
  async execContext(): Promise<ExecContext> {
    if (this.#process !== undefined) await untilProgramBegan(this.#process, this.#host.clock);
    const { identity } = this.record;
    if (!this.running || identity === undefined || this.#mount === undefined || this.#rights === undefined)
      throw new Error(`container not found ("${this.spec.name}")`);
    return {
      namespaces: this.#namespaces(this.#mount),
      initPid: identity.pid,
      environment: this.#environment,
      workingDirectory: this.#workingDirectory,
      rights: this.#rights,
    };
  }

  /** The log of the current or last run. An earlier run has only {@link previousLog}. */
  get currentLog(): ContainerLog | undefined {
    return this.#log;
  }

  get previousLog(): PlaceBelow | undefined {
    if (this.record.restartCount === 0) return undefined;
    const place = this.#files.logOf(this.record.restartCount - 1);
    return existsSync(place.path) ? place : undefined;
  }

  /** The console of a container with `tty`. It is lost when its node process restarts. */
  get console(): ContainerConsole | undefined {
    return this.running ? this.#console : undefined;
  }

  /** Standard input of a container with `stdin` and no terminal. It is lost when the node process restarts. */
  get input(): Socket | undefined {
    return this.running ? this.#input : undefined;
  }

  #namespaces(mount: number): ContainerNamespaces {
    return { ...this.#host.sandbox().namespaces, mount };
  }

  #environmentOf(image: ResolvedImage): Record<string, string> {
    return {
      ...baseEnvironment(image, this.#host),
      ...image.environment,
      ...containerEnvironment(this.spec, this.#host.sources()),
    };
  }

  #now(): string {
    return rfc3339Seconds(this.#host.clock.nowMs());
  }
}
