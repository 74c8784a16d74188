import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Container, LifecycleHandler, Probe } from "../../../api/kubernetes/index.ts";
import { aborted, messageOf } from "../../../base/index.ts";
import type { ContainerLog } from "../containers/container-log.ts";
import {
  untilProgramBegan,
  type ContainerNamespaces,
  type ContainerProcess,
  type ExitStatus,
} from "../containers/container-process.ts";
import type { ExecContext } from "../containers/exec-context.ts";
import type { Terminal } from "../containers/exec-session.ts";
import type { ContainerRights } from "../containers/starter.ts";
import { closeDescriptor } from "../libc.ts";
import { runHook } from "../probes/container-hook.ts";
import { declaredPorts, untilListening } from "../probes/container-ports.ts";
import { ContainerProbes } from "../probes/container-probes.ts";
import type { ProbeTarget } from "../probes/probe-attempt.ts";
import type { ReportEvent } from "./container-image.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { PodHost } from "./pod-host.ts";
import type { ContainerRole } from "./pod-status.ts";

/** The terminal of a container, with the stream of its output. */
export interface ContainerConsole {
  readonly terminal: Terminal;
  readonly screen: Duplex;
}

/** What a command in a container shares with the container's program. */
export interface RunSurroundings {
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

export interface ContainerRunOptions {
  readonly spec: Container;
  readonly role: ContainerRole;
  /** The stored state of the container. The run updates it until the run has ended. */
  readonly record: ContainerRecord;
  readonly host: PodHost;
  readonly event: ReportEvent;
  readonly process: ContainerProcess;
  readonly log: ContainerLog;
  /** The program's output. Undefined if the container ended while no process of the node watched it. */
  readonly output: number | Duplex | undefined;
  readonly input?: Socket | undefined;
  readonly console?: ContainerConsole | undefined;
  readonly rights: ContainerRights;
  /**
   * A descriptor of the container's mount namespace, which the run closes. Undefined if commands cannot run in the
   * container.
   */
  readonly mount: number | undefined;
  readonly surroundings: RunSurroundings;
  /** Runs the command of a probe or a hook in the container. */
  readonly exec: ProbeTarget["exec"];
  /** Called once, when the program has ended, its log is closed and its probes are stopped. */
  readonly onEnded: (status: ExitStatus) => void;
}

/** How long the run's end waits for the last log lines of a program that has ended. */
const drainMs = 500;
/**
 * The minimum time that a container has to end after SIGTERM, in milliseconds. As with a kubelet, the container gets
 * this time even if its preStop hook or other containers have used up the grace period.
 */
const minimumGraceMs = 2_000;
const defaultGraceSeconds = 30;

/**
 * One run of a container: its program, log, probes and hooks. It begins with the start of the program, or with the
 * adoption from an earlier process of the node.
 */
export class ContainerRun {
  readonly log: ContainerLog;
  /** Resolves when the run has ended. */
  readonly exited: Promise<void>;
  /**
   * What a command needs beside the program. For a container from an earlier process of the node, it is computed after
   * the adoption.
   */
  surroundings: RunSurroundings;
  readonly #options: ContainerRunOptions;
  #mount: number | undefined;
  #probes: ContainerProbes | undefined;
  /**
   * Whether the postStart hook still has to succeed. Until then, the container is not probed, and is neither started
   * nor ready.
   */
  #starting = false;
  /** Resolves when the preStop hook has ended. Undefined if the hook has not begun. */
  #preStop: Promise<void> | undefined;
  #stopping = false;
  /** The end of the grace period, and the timer that kills the container after it. */
  #grace: { readonly endsAtMs: number; readonly timer: Disposable } | undefined;
  readonly #graceOver = Promise.withResolvers<void>();
  #signalledAtMs: number | undefined;

  constructor(options: ContainerRunOptions) {
    this.#options = options;
    this.log = options.log;
    this.surroundings = options.surroundings;
    this.#mount = options.mount;
    this.exited = this.#untilEnded();
  }

  get running(): boolean {
    return this.#options.process.running;
  }

  get started(): boolean {
    return this.running && !this.#starting && (this.#probes?.started ?? true);
  }

  get ready(): boolean {
    return this.running && !this.#starting && (this.#probes?.ready ?? true);
  }

  /** The console of a container with `tty`. It is lost when the node's process restarts. */
  get console(): ContainerConsole | undefined {
    return this.running ? this.#options.console : undefined;
  }

  /**
   * The standard input of a container with `stdin` and without a terminal. It is lost when the node's process restarts.
   */
  get input(): Socket | undefined {
    return this.running ? this.#options.input : undefined;
  }

  /** Runs the postStart hook, if there is one, until it ends or `abandoned` aborts. Then begins to probe. */
  async begin(abandoned: AbortSignal): Promise<void> {
    const { postStart } = this.#options.spec.lifecycle ?? {};
    if (postStart === undefined) return this.startProbes();
    this.#starting = true;
    // Save the container now: the hook may take long, and if the node's process restarts during the hook, it must find
    // the container.
    this.#options.host.save();
    await this.#postStart(postStart, abandoned);
  }

  startProbes(): void {
    const { spec, role, record, host, event } = this.#options;
    const ports = spec.readinessProbe === undefined && role === "main" ? declaredPorts(spec) : [];
    if (
      spec.startupProbe === undefined &&
      spec.livenessProbe === undefined &&
      spec.readinessProbe === undefined &&
      ports.length === 0
    )
      return;
    const { identity } = record;
    const probes = new ContainerProbes({
      target: this.#probeTarget(),
      clock: host.clock,
      onUnhealthy: (kind, message) => {
        const word = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" }[kind];
        event("Warning", "Unhealthy", `${word} probe failed: ${message}`);
      },
      known: record.probed,
      settled:
        ports.length === 0 || identity === undefined
          ? undefined
          : async (signal) => await untilListening(identity.pid, ports, host.clock, signal),
      onChange: () => {
        record.probed = { started: probes.started, ready: probes.ready };
        host.changed();
      },
      onFailed: (kind, probe) => void this.#endUnhealthy(kind, probe),
    });
    this.#probes = probes;
    void probes.run();
  }

  /**
   * Stops the container. Runs the preStop hook for at most the grace period, and then sends SIGTERM. Sends SIGKILL when
   * both the grace period and the minimum time are over. Resolves when the container has ended. If the container is
   * already being stopped, the grace period that ends first applies. As with containerd, a run gets SIGTERM only once,
   * because many programs end at once at a second one.
   */
  async stop(graceMs: number): Promise<void> {
    const { process, record, host } = this.#options;
    if (!process.running) return await this.exited;
    this.#endGraceAfter(graceMs);
    if (this.#stopping) return await this.exited;
    this.#stopping = true;
    this.#probes?.watchReadinessAlone();
    await Promise.race([this.prepareStop(graceMs), this.#graceOver.promise, process.exited]);
    await untilProgramBegan(process, host.clock);
    this.#signalledAtMs = host.clock.steadyMs();
    if (process.running && !record.stopSignalled) {
      record.stopSignalled = true;
      // Save that the signal was sent, so that a later process of the node does not send it again.
      host.save();
      process.signal("SIGTERM");
    }
    await this.exited;
  }

  /** Shortens the grace period if the container is already being stopped. */
  shortenStop(graceMs: number): void {
    if (this.#stopping && this.running) this.#endGraceAfter(graceMs);
  }

  /**
   * Runs the preStop hook, unless it has already begun. A sidecar's hook begins with the pod's termination, long before
   * the sidecar itself is stopped.
   */
  async prepareStop(graceMs: number): Promise<void> {
    const { spec, record } = this.#options;
    const { preStop } = spec.lifecycle ?? {};
    if (preStop === undefined || graceMs === 0 || !this.running || record.stopSignalled) return;
    this.#preStop ??= this.#hook("PreStop", preStop, graceMs + minimumGraceMs, this.#endOfRun()).then(() => undefined);
    await this.#preStop;
  }

  kill(): void {
    this.#options.process.kill();
  }

  /**
   * The context in which a command runs beside the program. Waits until the program has begun. Throws if the program
   * does not run.
   */
  async execContext(): Promise<ExecContext> {
    const { spec, process, record, host, rights } = this.#options;
    await untilProgramBegan(process, host.clock);
    const { identity } = record;
    if (!this.running || identity === undefined || this.#mount === undefined) throw containerNotFound(spec.name);
    const namespaces: ContainerNamespaces = { ...host.sandbox().namespaces, mount: this.#mount };
    return { namespaces, initPid: identity.pid, ...this.surroundings, rights };
  }

  async #untilEnded(): Promise<void> {
    const { process, output, log, host, input, onEnded } = this.#options;
    const drained = output === undefined ? Promise.resolve(log.end()) : log.consume(output);
    const status = await process.exited;
    // The last lines must be in the log before the end is reported. Do not wait longer for a process that has left the
    // container and still holds the pipe.
    await Promise.race([drained, host.clock.sleep(drainMs)]);
    log.end();
    this.#grace?.timer[Symbol.dispose]();
    this.#grace = undefined;
    this.#probes?.stop();
    this.#probes = undefined;
    input?.destroy();
    if (this.#mount !== undefined) closeDescriptor(this.#mount);
    this.#mount = undefined;
    onEnded(status);
  }

  async #endUnhealthy(kind: string, probe: Probe): Promise<void> {
    const { spec, event } = this.#options;
    event("Normal", "Killing", `Container ${spec.name} failed ${kind} probe, will be restarted`);
    await this.stop((probe.terminationGracePeriodSeconds ?? this.#graceSeconds()) * 1_000);
  }

  #graceSeconds(): number {
    return this.#options.host.pod().spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  }

  #endGraceAfter(graceMs: number): void {
    const { clock } = this.#options.host;
    const endsAtMs = clock.steadyMs() + graceMs;
    if (this.#grace !== undefined && this.#grace.endsAtMs <= endsAtMs) return;
    this.#grace?.timer[Symbol.dispose]();
    const timer = clock.after(graceMs, () => {
      this.#graceOver.resolve();
      this.#killWhenDue(endsAtMs);
    });
    this.#grace = { endsAtMs, timer };
  }

  /**
   * Sends SIGKILL when it is due. The minimum time begins with SIGTERM. If there is no program yet that could get
   * SIGTERM, it begins with the end of the grace period.
   */
  #killWhenDue(endsAtMs: number): void {
    const { process, host } = this.#options;
    const leftMs = (this.#signalledAtMs ?? endsAtMs) + minimumGraceMs - host.clock.steadyMs();
    if (leftMs <= 0) return process.kill();
    this.#grace = { endsAtMs, timer: host.clock.after(leftMs, () => this.#killWhenDue(endsAtMs)) };
  }

  /**
   * Runs the hook until it ends, the container ends, or the pod is deleted. As with a kubelet, the hook has no time
   * limit. If it fails, the container is stopped, and is restarted like a container whose program has ended.
   */
  async #postStart(handler: LifecycleHandler, abandoned: AbortSignal): Promise<void> {
    const over = AbortSignal.any([abandoned, this.#endOfRun()]);
    const succeeded = await Promise.race([this.#hook("PostStart", handler, Infinity, over), aborted(over)]);
    if (over.aborted) return;
    if (succeeded === true) {
      this.#starting = false;
      this.startProbes();
    } else {
      this.#options.event("Normal", "Killing", "FailedPostStartHook");
      void this.stop(this.#graceSeconds() * 1_000);
    }
  }

  #endOfRun(): AbortSignal {
    const ended = new AbortController();
    void this.#options.process.exited.then(() => ended.abort());
    return ended.signal;
  }

  /** Runs a hook. Returns whether it has succeeded. */
  async #hook(
    name: "PostStart" | "PreStop",
    handler: LifecycleHandler,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { host, event } = this.#options;
    try {
      await runHook(handler, this.#probeTarget(), { clock: host.clock, limitMs, signal });
      return true;
    } catch (error) {
      if (!signal.aborted) event("Warning", `Failed${name}Hook`, `${name}Hook failed: ${messageOf(error)}`);
      return false;
    }
  }

  #probeTarget(): ProbeTarget {
    const { host, spec, exec } = this.#options;
    return { podIp: host.podIp(), container: spec, exec };
  }
}

/** A kubelet's error for a command in a container that is not running. */
export function containerNotFound(name: string): Error {
  return new Error(`container not found ("${name}")`);
}
