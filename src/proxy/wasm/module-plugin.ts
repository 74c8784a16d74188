import { messageOf, userError } from "../../base/index.ts";
import type { MachineLease, ModuleMachine } from "./module-machine.ts";
import { reloadAfterMs } from "./limits.ts";
import type { MachineOptions, PluginOptions } from "./messages.ts";
import type { ModuleCode } from "./module-source.ts";

export type FailurePolicy = "closed" | "open" | "reload";

export interface ModulePluginOptions {
  readonly plugin: PluginOptions;
  readonly machine: Omit<MachineOptions, "node">;
  readonly failure: FailurePolicy;
  readonly load: () => Promise<ModuleCode>;
}

export interface PluginRuntime {
  readonly steadyMs: () => number;
  readonly lease: (code: ModuleCode, options: ModulePluginOptions["machine"]) => Promise<MachineLease>;
  readonly failed: (plugin: string, message: string) => void;
}

export interface PluginSession {
  readonly machine: ModuleMachine;
  readonly root: number;
}

/** Why a plugin cannot serve: its module's code could not be fetched, or the module failed, at its start or later. */
export type FailureReason = "no-code" | "failed";

type State =
  | { readonly kind: "starting"; readonly done: Promise<PluginSession | undefined> }
  | { readonly kind: "running"; readonly session: PluginSession }
  | { readonly kind: "failed"; readonly atMs: number; readonly mayReload: boolean; readonly reason: FailureReason };

export class ModulePlugin {
  readonly options: ModulePluginOptions;
  readonly #runtime: PluginRuntime;
  #state: State;
  #lease: MachineLease | undefined;
  #ended = false;

  constructor(options: ModulePluginOptions, runtime: PluginRuntime) {
    this.options = options;
    this.#runtime = runtime;
    this.#state = { kind: "starting", done: this.#start() };
  }

  /**
   * Returns the session in which the plugin runs. Returns a promise while the plugin starts, and undefined if it has
   * failed.
   */
  session(): PluginSession | undefined | Promise<PluginSession | undefined> {
    const state = this.#state;
    if (state.kind === "running") return state.session;
    if (state.kind === "starting") return state.done;
    if (!state.mayReload || this.#runtime.steadyMs() - state.atMs < reloadAfterMs) return undefined;
    const done = this.#start();
    this.#state = { kind: "starting", done };
    return done;
  }

  /** Why the plugin cannot serve. Undefined if it can, or if it is starting. */
  get failure(): FailureReason | undefined {
    return this.#state.kind === "failed" ? this.#state.reason : undefined;
  }

  end(): void {
    this.#ended = true;
    const state = this.#state;
    if (state.kind === "running") state.session.machine.endPlugin(state.session.root);
    this.#lease?.release();
    this.#lease = undefined;
  }

  async #start(): Promise<PluginSession | undefined> {
    const { plugin, machine: machineOptions, load } = this.options;
    let reason: FailureReason = "no-code";
    try {
      const code = await load();
      reason = "failed";
      const lease = await this.#runtime.lease(code, machineOptions);
      this.#lease = lease;
      const { machine } = lease;
      const root = await machine.configure(plugin, (message) => this.#fail(message, true, "failed"));
      if (root === 0)
        throw userError(
          "module-invalid",
          "the module refused its configuration: proxy_on_vm_start or proxy_on_configure answered false",
        );
      const session = { machine, root };
      this.#state = { kind: "running", session };
      if (this.#ended) this.end();
      return session;
    } catch (error) {
      this.#fail(messageOf(error), false, reason);
      return undefined;
    }
  }

  /**
   * Ends the plugin after a failure. If the policy allows it, {@link session} may later start a module again that had
   * started before it failed.
   */
  #fail(message: string, ran: boolean, reason: FailureReason): void {
    const before = this.#state;
    if ((before as State | undefined)?.kind === "failed") return;
    this.#lease?.release();
    this.#lease = undefined;
    if (this.#ended) return;
    this.#state = {
      kind: "failed",
      atMs: this.#runtime.steadyMs(),
      mayReload: this.options.failure === "reload" && ran,
      reason,
    };
    this.#runtime.failed(this.options.plugin.name, message);
  }
}
