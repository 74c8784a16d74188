import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import { messageOf, programFile, transientError, type Clock } from "../../base/index.ts";
import { makeAnswerMark, setMark } from "./answer-mark.ts";
import type { CompiledModule } from "./engine.ts";
import { callDeadlineMs, maxWaitingCalls, startDeadlineMs } from "./limits.ts";
import type {
  Effect,
  HostRequest,
  MachineAnswer,
  MachineCall,
  MachineOptions,
  SharedAnswer,
  SharedRequest,
} from "./messages.ts";
import type { FromThread, ThreadStart } from "./thread-messages.ts";

export interface ModuleThreadOptions {
  readonly module: CompiledModule;
  readonly machine: MachineOptions;
  readonly logLevel: number;
  readonly clock: Clock;
  /** Answers a request of the module. It must be synchronous, because the module's thread waits for the answer. */
  readonly ask: (request: SharedRequest) => SharedAnswer;
  readonly tell: (request: HostRequest) => void;
  readonly effects: (effects: readonly Effect[]) => void;
  /** Called when the thread has ended: the module trapped, took too long, or ended itself. */
  readonly failed: (failure: ModuleFailure) => void;
  readonly deadlineMs?: number;
}

export interface ModuleFailure {
  readonly kind: "trap" | "deadline";
  readonly message: string;
}

interface Waiting {
  readonly kind: MachineCall["kind"];
  readonly taken: ((answer: MachineAnswer) => void) | undefined;
  readonly resolve: (answer: MachineAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** The maximum JavaScript heap of the thread, in MiB. The module's own memory is not part of it. */
const heapMiB = 64;

/**
 * A module in its own thread. Calls are answered in the order in which they were made. A call that takes too long ends
 * the thread.
 */
export class ModuleThread {
  readonly #options: ModuleThreadOptions;
  readonly #worker: Worker;
  readonly #asks: MessagePort;
  readonly #waiting: Waiting[] = [];
  #headSinceMs = 0;
  #timer: Disposable | undefined;
  #over = false;

  constructor(options: ModuleThreadOptions) {
    this.#options = options;
    const { port1, port2 } = new MessageChannel();
    const answered = makeAnswerMark();
    const start: ThreadStart = {
      module: options.module,
      options: options.machine,
      logLevel: options.logLevel,
      questions: port2,
      answered,
    };
    this.#asks = port1;
    port1.on("message", (request: SharedRequest) => {
      port1.postMessage(this.#options.ask(request));
      setMark(answered);
    });
    this.#worker = new Worker(programFile("src/proxy/wasm/module.worker.ts"), {
      workerData: start,
      transferList: [port2],
      execArgv: ["--disable-warning=ExperimentalWarning"],
      resourceLimits: { maxOldGenerationSizeMb: heapMiB },
      env: {},
    });
    this.#worker.unref();
    port1.unref();
    this.#worker.on("message", (message: FromThread) => this.#take(message));
    this.#worker.on("error", (error) => this.#fail({ kind: "trap", message: messageOf(error) }));
    this.#worker.on("exit", () => this.#fail({ kind: "trap", message: "the module's thread ended" }));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Sends a call. Rejects if the thread has ended, or if too many calls wait. `taken` gets the answer before the
   * effects of the call are applied.
   */
  call(call: MachineCall, taken?: (answer: MachineAnswer) => void): Promise<MachineAnswer> {
    if (this.#over) return Promise.reject(transientError("module-failed", "the module has failed"));
    if (this.#waiting.length >= maxWaitingCalls)
      return Promise.reject(transientError("busy", `more than ${maxWaitingCalls} calls wait for the module`));
    const { promise, resolve, reject } = Promise.withResolvers<MachineAnswer>();
    this.#waiting.push({ kind: call.kind, taken, resolve, reject });
    if (this.#waiting.length === 1) this.#watch();
    this.#worker.postMessage(call);
    return promise;
  }

  end(): void {
    this.#close(transientError("module-failed", "the module is no longer used"));
  }

  #take(message: FromThread): void {
    if (this.#over) return;
    if (message.kind === "tell") this.#options.tell(message.request);
    else if (message.kind === "failed") this.#fail({ kind: "trap", message: message.message });
    else {
      const first = this.#waiting.shift();
      this.#headSinceMs = this.#options.clock.steadyMs();
      if (this.#waiting.length === 0) this.#unwatch();
      first?.taken?.(message.answer);
      this.#options.effects(message.answer.effects);
      first?.resolve(message.answer);
    }
  }

  #watch(): void {
    this.#headSinceMs = this.#options.clock.steadyMs();
    this.#worker.ref();
    this.#timer ??= this.#options.clock.after(this.#limitMs(), () => this.#check());
  }

  #unwatch(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#worker.unref();
  }

  #limitMs(): number {
    if (this.#waiting[0]?.kind === "configure") return startDeadlineMs;
    return this.#options.deadlineMs ?? callDeadlineMs;
  }

  #check(): void {
    this.#timer = undefined;
    // Read the answers that have already arrived before judging: it may be this thread that was late.
    setImmediate(() => {
      if (this.#over || this.#waiting.length === 0 || this.#timer !== undefined) return;
      const leftMs = this.#headSinceMs + this.#limitMs() - this.#options.clock.steadyMs();
      if (leftMs > 0) this.#timer = this.#options.clock.after(leftMs, () => this.#check());
      else this.#fail({ kind: "deadline", message: `a call into the module took longer than ${this.#limitMs()} ms` });
    });
  }

  #fail(failure: ModuleFailure): void {
    if (this.#over) return;
    this.#close(transientError("module-failed", failure.message));
    this.#options.failed(failure);
  }

  #close(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
    this.#asks.close();
    void this.#worker.terminate();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
