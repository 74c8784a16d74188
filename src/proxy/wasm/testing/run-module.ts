import { systemClock } from "../../../base/index.ts";
import type { CallCluster } from "../../terms/call-cluster.ts";
import { boundedModule, engine, maxMemoryBytes, ModuleMachine, SharedStore, type MachineServices } from "../index.ts";
import type { AttributeMap, Effect, MachineAnswer, StreamEvent } from "../messages.ts";
import type { Pairs } from "../pairs.ts";

/** A module that runs in a thread with one plugin, and a record of what its calls did. */
export class RunningModule implements Disposable {
  readonly store = new SharedStore();
  readonly logs: string[] = [];
  readonly effects: Effect[] = [];
  readonly failures: string[] = [];
  readonly machine: ModuleMachine;
  root = 0;

  private constructor(
    machine: (services: MachineServices) => ModuleMachine,
    callCluster: CallCluster,
    deadlineMs: number,
  ) {
    this.machine = machine({
      clock: systemClock,
      store: this.store,
      callCluster,
      hasCluster: (name) => name === "callee",
      log: (_level, _plugin, text) => void this.logs.push(text),
      logLevel: () => 0,
      record: () => undefined,
      counted: (kind) => void this.failures.push(kind),
      deadlineMs,
    });
  }

  static async start(
    code: Uint8Array,
    {
      configuration = "",
      callCluster = () => Promise.reject(new Error("no clusters")),
      deadlineMs = 5_000,
    }: RunOptions = {},
  ): Promise<RunningModule> {
    const compiled = await engine.compile(boundedModule(code, maxMemoryBytes));
    const options = { vmId: "test", configuration: new Uint8Array(), environment: [], node: { id: "node" } };
    const running = new RunningModule(
      (services) => new ModuleMachine(compiled, options, services),
      callCluster,
      deadlineMs,
    );
    const plugin = { name: "test", rootId: "add_header", configuration: Buffer.from(configuration) };
    running.root = await running.machine.configure(plugin, (message) => void running.failures.push(message));
    return running;
  }

  async open(
    fields: Pairs,
    end = true,
    attributes: AttributeMap = { request: { path: "/there" } },
  ): Promise<MachineAnswer> {
    const event: StreamEvent = { kind: "headers", side: "request", fields, end };
    return await this.machine.open(this.root, attributes, event, {
      effect: (effect) => void this.effects.push(effect),
      moduleFailed: () => undefined,
    });
  }

  fields(map: number): Pairs {
    const found = this.effects.findLast((effect) => effect.kind === "fields" && effect.map === map);
    return found?.kind === "fields" ? found.fields : [];
  }

  [Symbol.dispose](): void {
    this.machine.end();
  }
}

interface RunOptions {
  readonly configuration?: string;
  readonly callCluster?: CallCluster;
  /** How long one call into the module may take. */
  readonly deadlineMs?: number;
}
