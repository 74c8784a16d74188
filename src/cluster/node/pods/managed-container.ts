import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { Socket } from "node:net";
import type { Container, ContainerState } from "../../../api/kubernetes/index.ts";
import { messageOf, rfc3339Seconds, userError } from "../../../base/index.ts";
import type { ResolvedImage } from "../../images/index.ts";
import { containerEnvironment, expandVariables } from "../containers/container-environment.ts";
import { ContainerLog } from "../containers/container-log.ts";
import {
  adoptContainer,
  type ExitStatus,
  spawnContainer,
  type SpawnedContainer,
} from "../containers/container-process.ts";
import { containerRights, refusalOfRoot } from "../containers/container-rights.ts";
import type { ExecContext } from "../containers/exec-context.ts";
import { execInContainer, openTerminal, terminalStream, type Terminal } from "../containers/exec-session.ts";
import type { ContainerRights } from "../containers/starter.ts";
import { closeDescriptor } from "../libc.ts";
import { openNamespace } from "../namespaces.ts";
import { removeBelow, type PlaceBelow } from "../place-below.ts";
import { ContainerFiles } from "./container-files.ts";
import { resolveContainerImage, type ReportEvent } from "./container-image.ts";
import { baseEnvironment } from "./container-mounts.ts";
import { type ContainerRecord, newRecord } from "./container-record.ts";
import {
  containerNotFound,
  ContainerRun,
  type ContainerConsole,
  type ContainerRunOptions,
  type RunSurroundings,
} from "./container-run.ts";
import { crashLoopBackoff, endedState, explainsDelay, imagePullBackoff, startFailure } from "./container-states.ts";
import type { PodHost } from "./pod-host.ts";
import type { ContainerRole, ContainerView } from "./pod-status.ts";
import { RestartBackoff } from "./restart-backoff.ts";

interface StartedProgram extends RunSurroundings {
  readonly argv: readonly string[];
  readonly hostPid: boolean;
  readonly rights: ContainerRights;
  readonly mount: number;
}

/** One container of a pod with all its runs. */
export class ManagedContainer {
  readonly spec: Container;
  readonly role: ContainerRole;
  readonly record: ContainerRecord;
  /** The path of the container's field in its pod, for events, such as `spec.containers{app}`. */
  readonly fieldPath: string;
  readonly #host: PodHost;
  readonly #files: ContainerFiles;
  readonly #backoff: RestartBackoff;
  readonly #event: ReportEvent;
  readonly #abandoned = new AbortController();
  /** The current or last run. */
  #run: ContainerRun | undefined;
  /** Whether the container is finished. The pod sets it when no further run will follow. */
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
    return this.#run?.running === true;
  }

  get exitCode(): number | undefined {
    return (
      this.record.state.terminated?.exitCode ??
      (this.record.state.waiting === undefined ? undefined : this.record.lastState?.terminated?.exitCode)
    );
  }

  /** Resolves when the current run has ended. */
  get exited(): Promise<void> {
    return this.#run?.exited ?? Promise.resolve();
  }

  /** Whether a run has ended and no new one has begun. */
  get ended(): boolean {
    return !this.running && (this.record.state.terminated !== undefined || this.record.lastState !== undefined);
  }

  get started(): boolean {
    return this.#run?.started === true;
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
      ready: this.#run?.ready === true,
      done: this.done,
    };
  }

  /** The time until the next run may begin, in milliseconds. 0 means that it may begin now. */
  get delayMs(): number {
    return this.#backoff.delayMs;
  }

  /** Shows in the state why the next run is delayed: ImagePullBackOff or CrashLoopBackOff. */
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

  /**
   * Begins a run. Never throws. After a failure, the state contains the cause, and {@link delayMs} is the time until
   * the next attempt.
   */
  async start(): Promise<void> {
    const { record } = this;
    const previous = record.state.terminated === undefined ? undefined : record.state;
    const resolved = await resolveContainerImage(this.spec, this.#host, this.#event);
    if ("failed" in resolved) return this.#couldNotStart(resolved.failed);
    if (previous !== undefined) record.lastState = previous;
    const { restartCount } = record;
    if (record.lastState !== undefined) record.restartCount += 1;
    try {
      this.#run = this.#startRun(resolved.image);
    } catch (error) {
      // A start counts only if the program runs. The restart count is also the number of the last run's log.
      record.restartCount = restartCount;
      this.#event("Warning", "Failed", `Error: ${messageOf(error)}`);
      return this.#couldNotStart(startFailure(error));
    }
    await this.#run.begin(this.#abandoned.signal);
    this.#host.changed();
  }

  /** Stops waiting for a postStart hook, because the pod ends. */
  abandonStart(): void {
    this.#abandoned.abort();
  }

  #couldNotStart(state: ContainerState): void {
    this.record.state = state;
    this.#backoff.failed();
    this.#host.changed();
  }

  #startRun(image: ResolvedImage): ContainerRun {
    const { record, spec } = this;
    const host = this.#host;
    const pod = host.pod();
    const surroundings = this.#surroundingsOf(image);
    const argv = image.argv.map((word) => expandVariables(word, surroundings.environment));
    const [program] = argv;
    if (program === undefined) throw new Error("no command specified");
    const refusal = refusalOfRoot(spec, pod, image.runsAs);
    if (refusal !== undefined) throw userError("not-allowed", refusal);
    const rights = containerRights(spec, pod, { uidCount: host.uidCount, runsAs: image.runsAs });
    const hostPid = pod.spec?.hostPID === true;
    // Removing the log may fail, for example on a damaged disk. Do it before the program starts, because after such a
    // failure no code would watch the program.
    removeBelow(this.#files.logOf(record.restartCount - 2));
    const mount = this.#files.buildRoot(image, { rights, ...surroundings, hostPid });
    const [spawned, terminal] = this.#spawn({ argv, hostPid, rights, mount, ...surroundings });
    const console = terminal === undefined ? undefined : { terminal, screen: terminalStream(terminal) };
    const log = new ContainerLog(this.#files.logOf(record.restartCount), host.clock);
    this.#recordRun(image, spawned);
    this.#event("Normal", "Started", `Started container ${spec.name}`);
    const input =
      spawned.input === undefined ? undefined : new Socket({ fd: spawned.input, readable: false, writable: true });
    input?.on("error", () => undefined);
    const output = console?.screen ?? spawned.output;
    const { process } = spawned;
    const run = new ContainerRun({
      ...this.#partsOfRun(),
      process,
      log,
      output,
      input,
      console,
      rights,
      mount,
      surroundings,
    });
    if (console !== undefined) closeDescriptor(spawned.output);
    return run;
  }

  #partsOfRun(): Pick<ContainerRunOptions, "spec" | "role" | "record" | "host" | "event" | "exec" | "onEnded"> {
    const { spec, role, record } = this;
    return {
      spec,
      role,
      record,
      host: this.#host,
      event: this.#event,
      exec: async (command, timeoutMs) => await this.execForOutput(command, timeoutMs),
      onEnded: (status) => this.#ended(status),
    };
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

  /** Starts the program, on a terminal if the container has one. Closes the mount if the start fails. */
  #spawn(program: StartedProgram): readonly [SpawnedContainer, Terminal | undefined] {
    const { argv, hostPid, rights, mount, environment, workingDirectory } = program;
    let terminal: Terminal | undefined;
    try {
      this.#event("Normal", "Created", `Created container: ${this.spec.name}`);
      terminal = this.spec.tty === true ? openTerminal(mount) : undefined;
      const spawned = spawnContainer({
        namespaces: { ...this.#host.sandbox().namespaces, mount },
        hostPid,
        directory: this.#files.directory,
        stdin: this.spec.stdin === true,
        terminal: terminal?.slave,
        command: {
          argv,
          environment: terminal === undefined ? environment : { TERM: "xterm", ...environment },
          workingDirectory,
          rights,
        },
      });
      return [spawned, terminal];
    } catch (error) {
      if (terminal !== undefined) closeDescriptor(terminal.master);
      closeDescriptor(mount);
      throw error;
    } finally {
      if (terminal !== undefined) closeDescriptor(terminal.slave);
    }
  }

  /** Takes over a container that an earlier process of the node started. */
  adopt(): void {
    const { identity } = this.record;
    if (identity === undefined || this.record.state.running === undefined) return;
    const adopted = adoptContainer(identity, this.#files.directory, this.#host.clock);
    const { runsAs = { user: 0, group: 0 } } = this.record;
    const { process, output } = adopted;
    const run = new ContainerRun({
      ...this.#partsOfRun(),
      process,
      output,
      log: new ContainerLog(this.#files.logOf(this.record.restartCount), this.#host.clock),
      rights: containerRights(this.spec, this.#host.pod(), { uidCount: this.#host.uidCount, runsAs }),
      mount: output === undefined ? undefined : openNamespace(identity.pid, "mnt"),
      surroundings: { environment: {}, workingDirectory: "/" },
    });
    this.#run = run;
    if (output !== undefined) void this.#recallSurroundings(run);
    run.startProbes();
  }

  /** Restores what exec needs, for a container from an earlier process of the node. */
  async #recallSurroundings(run: ContainerRun): Promise<void> {
    const { image: name = "", command, args } = this.spec;
    try {
      run.surroundings = this.#surroundingsOf(await this.#host.images.resolve({ image: name, command, args }));
    } catch (error) {
      this.#host.log.debug("the environment of a running container cannot be computed again", {
        container: this.spec.name,
        error: messageOf(error),
      });
    }
  }

  #ended(status: ExitStatus): void {
    const { record } = this;
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

  /** Stops the container. See {@link ContainerRun.stop}. */
  async stop(graceMs: number): Promise<void> {
    await this.#run?.stop(graceMs);
  }

  shortenStop(graceMs: number): void {
    this.#run?.shortenStop(graceMs);
  }

  /** Runs the preStop hook. See {@link ContainerRun.prepareStop}. */
  async prepareStop(graceMs: number): Promise<void> {
    await this.#run?.prepareStop(graceMs);
  }

  kill(): void {
    this.#run?.kill();
  }

  async execForOutput(command: readonly string[], timeoutMs: number): Promise<{ exitCode: number; output: string }> {
    return await execInContainer(await this.execContext(), command, timeoutMs);
  }

  /** The context in which a command runs beside the program. See {@link ContainerRun.execContext}. */
  async execContext(): Promise<ExecContext> {
    if (this.#run === undefined) throw containerNotFound(this.spec.name);
    return await this.#run.execContext();
  }

  /** The log of the current or last run. For earlier runs, see {@link previousLog}. */
  get currentLog(): ContainerLog | undefined {
    return this.#run?.log;
  }

  get previousLog(): PlaceBelow | undefined {
    if (this.record.restartCount === 0) return undefined;
    const place = this.#files.logOf(this.record.restartCount - 1);
    return existsSync(place.path) ? place : undefined;
  }

  get console(): ContainerConsole | undefined {
    return this.#run?.console;
  }

  get input(): Socket | undefined {
    return this.#run?.input;
  }

  #surroundingsOf(image: ResolvedImage): RunSurroundings {
    return {
      environment: {
        ...baseEnvironment(image, this.#host),
        ...image.environment,
        ...containerEnvironment(this.spec, this.#host.sources()),
      },
      workingDirectory: this.spec.workingDir ?? image.workingDirectory,
    };
  }

  #now(): string {
    return rfc3339Seconds(this.#host.clock.nowMs());
  }
}
