import type { MessagePort } from "node:worker_threads";
import type { CompiledModule } from "./engine.ts";
import type { HostRequest, MachineAnswer, MachineCall, MachineOptions } from "./messages.ts";

/** What a thread begins with. */
export interface ThreadStart {
  readonly module: CompiledModule;
  readonly options: MachineOptions;
  readonly logLevel: number;
  /** For what the module must know before it goes on: a request by the port, and a mark when its answer is there. */
  readonly asks: MessagePort;
  readonly answered: Int32Array;
}

export type ToThread = MachineCall;

export type FromThread =
  | { readonly kind: "answer"; readonly answer: MachineAnswer }
  | { readonly kind: "tell"; readonly request: HostRequest }
  | { readonly kind: "failed"; readonly message: string };
